"""The one loop: pinned losses, best weights, stopping, schedules, interruption, resumption, files, randomness."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from plain_training import random_interactions

from multimargin.encoders import MF
from multimargin.errors import ArgumentError, CheckpointError, DataError, DeviceError, DivergedError
from multimargin.losses import BPRLoss, MultiMarginLoss
from multimargin.negatives import AllNegatives, UniformNegatives
from multimargin.train import EarlyStopping, ReduceOnPlateau, Trainer, loop

ENGINES = ["fused", "steps"]
ALL_ENGINES = [*ENGINES, "grouped"]  # the last for all negatives, the others for sampled ones
PINNED = [1.2382427, 1.1849477, 1.1054893, 1.0591492]
TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture
def train():
    return random_interactions()


class Script:
    """An evaluation that returns the values it was given, one after the other, and remembers the tables it saw."""

    def __init__(self, *values, then=None):
        self.values, self.then, self.seen = list(values), then, []

    def __call__(self, encoder):
        if len(self.seen) == len(self.values):
            raise self.then
        self.seen.append([table.detach().clone() for table in encoder.tables()])
        return {"NDCG@20": self.values[len(self.seen) - 1], "Recall@20": 0.5}


def spread(encoder):
    """An honest stand-in for a metric: some number that depends on all weights, and goes up and down."""
    users, items = (table.double() for table in encoder.tables())
    return {"NDCG@20": float(torch.sin(1e3 * (users @ items.T)).mean())}


def fit(train, *, dim=8, engine="fused", loss=None, encoder=None, evaluate=None, run=None, resume=False, **options):
    """Train a small model; return the training and the tables."""
    values = {"n_negatives": 7, "learning_rate": 0.01, "batch_size": 32, "epochs": 4, "dropout": 0.1, "seed": 3}
    trainer = Trainer(engine=engine, device="cpu", **(values | options))
    encoder = encoder or MF(dim, init_std=0.3)
    training = trainer.fit(
        train,
        encoder=encoder,
        loss=loss or MultiMarginLoss((0.1, 0.3), (0.4, 0.6), neg_weight=3.0),
        negatives=AllNegatives() if engine == "grouped" else UniformNegatives(),
        evaluate=evaluate,
        run=run,
        resume=resume,
        progress=False,
    )
    return training, [table.detach().clone() for table in encoder.tables()]


def without_times(history):
    return [{key: value for key, value in row.items() if not key.endswith("seconds")} for row in history]


def assert_same(one, other):
    """Assert that two results of ``fit`` are equal to the last digit, times aside."""
    assert without_times(one[0].history) == without_times(other[0].history)
    assert (one[0].best_epoch, one[0].best_value) == (other[0].best_epoch, other[0].best_value)
    assert all(torch.equal(a, b) for a, b in zip(one[1], other[1], strict=True))


@pytest.fixture
def saves_every_epoch(monkeypatch):
    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", -1.0)


# --- results


@pytest.mark.parametrize("engine", ENGINES)
def test_losses_are_pinned(train, engine):
    """From ``train_plainly`` in ``plain_training.py``: float64, plain PyTorch."""
    training, _ = fit(train, engine=engine)
    assert [row["loss"] for row in training.history] == pytest.approx(PINNED, rel=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_same_seed_same_result_other_seed_other_result(train, engine):
    first = fit(train, engine=engine, evaluate=spread)
    assert_same(first, fit(train, engine=engine, evaluate=spread))
    for changes in ({"seed": 4}, {"dropout": 0.2}, {"n_negatives": 8}, {"learning_rate": 0.02}, {"clip_norm": 0.01}):
        other = fit(train, engine=engine, evaluate=spread, **changes)
        assert not torch.equal(other[1][0], first[1][0]), changes


@pytest.mark.parametrize("engine", ENGINES)
def test_an_epoch_visits_every_interaction_once_in_another_order_each_time(train, engine, monkeypatch):
    orders = []

    class Recorder(loop.Engine):
        def run(self, order, start, stop, *, place):
            orders.append((place, start, stop, order))
            return 0.0

    monkeypatch.setattr(loop, "choose_engine", lambda name, setting: Recorder())
    fit(train, engine=engine, epochs=2)
    n = len(train)
    for epoch in range(2):
        calls = [call for call in orders if call[0] == epoch * n]
        stops = [call[2] for call in calls]
        assert [call[1] for call in calls] == [0, *stops[:-1]]
        assert stops[-1] == n
        assert all(stop % 32 == 0 for stop in stops[:-1])
        assert sorted(calls[0][3].tolist()) == list(range(n))
    assert (orders[0][3] != orders[-1][3]).any()


@pytest.mark.parametrize("engine", ALL_ENGINES)
def test_how_often_the_engine_reports_changes_nothing(train, engine, monkeypatch):
    expected = fit(train, engine=engine)
    monkeypatch.setattr(loop, "_STRETCHES", 2)
    found = fit(train, engine=engine)
    losses = [[row["loss"] for row in training.history] for training, _ in (expected, found)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    assert all(torch.equal(a, b) for a, b in zip(expected[1], found[1], strict=True))


@pytest.mark.parametrize("engine", ALL_ENGINES)
def test_no_other_randomness_is_touched(train, engine):
    states = np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()  # noqa: NPY002
    fit(train, engine=engine)
    assert (np.random.get_state()[1] == states[0]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[1])
    assert random.getstate() == states[2]


# --- evaluation, the best weights


@pytest.mark.parametrize("engine", ENGINES)
def test_the_best_weights_are_kept(train, engine):
    script = Script(0.1, 0.3, 0.3, 0.2)
    training, tables = fit(train, engine=engine, evaluate=script)
    assert (training.best_epoch, training.best_value, training.stopped) == (2, 0.3, "finished")  # the first of equals
    assert all(torch.equal(a, b) for a, b in zip(tables, script.seen[1], strict=True))
    assert not torch.equal(script.seen[1][0], script.seen[3][0])


def test_without_evaluation_the_last_weights_are_kept(train):
    training, tables = fit(train)
    assert (training.best_epoch, training.best_value, training.stopped) == (4, None, "finished")
    script = Script(0.1, 0.2, 0.3, 0.4)
    fit(train, evaluate=script)
    assert torch.equal(tables[0], script.seen[3][0])


def test_evaluation_sees_tables_that_are_up_to_date(train):
    """Idle rows are where dense Adam has them: what is evaluated equals what the next epoch begins from."""
    script = Script(0.1, 0.2)
    fit(train, epochs=2, evaluate=script)
    longer = Script(0.1, 0.2, 0.3)
    fit(train, epochs=3, evaluate=longer)
    for seen, again in zip(script.seen, longer.seen, strict=False):
        assert torch.equal(seen[0], again[0])
        assert torch.equal(seen[1], again[1])
    alone = fit(train, epochs=1)[1]
    assert torch.equal(alone[1], script.seen[0][1])


@pytest.mark.parametrize("was_training", [True, False])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), RuntimeError("broken metric")])
def test_evaluation_restores_the_mode(train, was_training, error):
    encoder = MF(8).train(was_training)
    modes = []

    def evaluate(encoder):
        modes.append((encoder.training, torch.is_grad_enabled()))
        if error is not None:
            raise error
        return {"NDCG@20": 0.1}

    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError, match="broken metric"):
            fit(train, encoder=encoder, evaluate=evaluate)
    else:
        fit(train, encoder=encoder, evaluate=evaluate)
    assert set(modes) == {(False, False)}
    assert encoder.training == was_training


def test_evaluated_every_so_often_and_at_the_end(train):
    script = Script(0.1, 0.2, 0.3)
    training, _ = fit(train, epochs=5, evaluate_every=2, evaluate=script)
    assert ["NDCG@20" in row for row in training.history] == [False, True, False, True, True]
    assert ["eval_seconds" in row for row in training.history] == [False, True, False, True, True]
    assert training.best_epoch == 5


def test_an_unknown_metric_is_named(train):
    with pytest.raises(ArgumentError, match=r"metric must be one of NDCG@20, Recall@20; got 'NDCG@2'. Did you mean"):
        fit(train, metric="NDCG@2", evaluate=Script(0.1))


def test_the_metric_asked_for_decides(train):
    training, _ = fit(train, metric="Recall@20", evaluate=Script(0.1, 0.2, 0.3, 0.4))
    assert (training.best_epoch, training.best_value) == (1, 0.5)


# --- stopping, lowering the rate


@pytest.mark.parametrize("engine", ALL_ENGINES)
def test_stops_early_with_the_best_weights(train, engine):
    script = Script(0.1, 0.4, 0.3, 0.35, 0.9)
    training, tables = fit(train, engine=engine, epochs=9, evaluate=script, stopping=EarlyStopping(patience=2))
    assert training.stopped == "early"
    assert [row["epoch"] for row in training.history] == [1, 2, 3, 4]
    assert training.best_epoch == 2
    assert torch.equal(tables[1], script.seen[1][1])


def test_an_improvement_forgives_what_was_waited(train):
    script = Script(0.1, 0.05, 0.2, 0.15, 0.3, 0.1)
    training, _ = fit(train, epochs=6, evaluate=script, stopping=EarlyStopping(patience=2))
    assert training.stopped == "finished"
    assert training.best_epoch == 5


class Watched(MF):
    """Remembers the tables as they were read first after each evaluation: where an epoch began from."""

    def __init__(self):
        super().__init__(8, init_std=0.3)
        self.begun, self.asked = [], True

    def tables(self):
        if self.training and self.asked:
            self.begun.append(self.user_table.detach().clone())
            self.asked = False
        return super().tables()


@pytest.mark.parametrize("restore_best", [True, False])
def test_the_rate_falls_on_a_plateau_and_the_best_weights_come_back(train, restore_best):
    encoder = Watched()
    script = Script(0.3, 0.2, 0.4, 0.1, 0.1)

    def evaluate(encoder):
        found = script(encoder)
        encoder.asked = True
        return found

    schedule = ReduceOnPlateau(factor=0.1, patience=1, min_learning_rate=1e-5, restore_best=restore_best)
    training, _ = fit(train, engine="steps", encoder=encoder, epochs=5, evaluate=evaluate, schedule=schedule)
    assert [row["learning_rate"] for row in training.history] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4])
    ended = [seen[0] for seen in script.seen]
    best = [0, 0, 2, 2] if restore_best else [0, 1, 2, 3]
    for began, epoch in zip(encoder.begun[1:5], best, strict=True):  # epochs 2 to 5
        assert torch.equal(began, ended[epoch])


@pytest.mark.parametrize(
    ("decay", "factors"),
    [("linear", [0.875, 0.625, 0.375, 0.125]), ("cosine", [0.96194, 0.69134, 0.30866, 0.03806]), (None, [1.0] * 4)],
)
def test_the_rate_falls_as_epochs_go_by(train, decay, factors):
    training, _ = fit(train, decay=decay)
    assert [row["learning_rate"] for row in training.history] == pytest.approx([0.01 * f for f in factors], rel=1e-4)


def test_a_plateau_and_the_epochs_lower_the_rate_together(train):
    schedule = ReduceOnPlateau(factor=0.1, patience=1, restore_best=False)
    training, _ = fit(train, decay="linear", schedule=schedule, evaluate=Script(0.3, 0.2, 0.4, 0.5))
    expected = [0.01 * 0.875, 0.01 * 0.625, 0.001 * 0.375, 0.001 * 0.125]
    assert [row["learning_rate"] for row in training.history] == pytest.approx(expected)


@pytest.mark.parametrize("engine", ALL_ENGINES)
def test_a_lowered_rate_is_heard_by_the_engine(train, engine):
    scripts = Script(0.3, 0.2, 0.1), Script(0.3, 0.2, 0.1)
    schedule = ReduceOnPlateau(factor=1e-9, min_learning_rate=1e-12, restore_best=False)
    fit(train, engine=engine, epochs=3, evaluate=scripts[0], schedule=schedule)
    fit(train, engine=engine, epochs=3, evaluate=scripts[1])
    assert torch.equal(scripts[0].seen[1][0], scripts[1].seen[1][0])
    # what still moves is what earlier steps had set in motion before the rate fell: nothing to speak of
    torch.testing.assert_close(scripts[0].seen[2][0], scripts[0].seen[1][0], rtol=0, atol=1e-6)
    assert (scripts[1].seen[2][0] - scripts[1].seen[1][0]).abs().max() > 1e-3


# --- files


def test_metrics_are_written_as_they_are_returned(train, tmp_path):
    training, _ = fit(train, evaluate=spread, run=tmp_path / "a" / "run")
    lines = (tmp_path / "a" / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == training.history
    assert set(training.history[0]) == {"epoch", "loss", "learning_rate", "train_seconds", "eval_seconds", "NDCG@20"}
    assert [each.name for each in (tmp_path / "a" / "run" / "checkpoints").iterdir()] == ["last.safetensors"]


def test_each_epoch_is_on_disk_before_the_next_begins(train, tmp_path):
    counts = []

    def evaluate(encoder):
        counts.append(len((tmp_path / "metrics.jsonl").read_text().splitlines()))
        return {"NDCG@20": 0.1}

    fit(train, evaluate=evaluate, run=tmp_path)
    assert counts == [0, 1, 2, 3]


def test_writing_changes_no_result(train, tmp_path, saves_every_epoch):
    assert_same(fit(train, evaluate=spread), fit(train, evaluate=spread, run=tmp_path))


# --- interruption and resumption

RULES = {"epochs": 7, "stopping": EarlyStopping(6), "schedule": ReduceOnPlateau(patience=1), "decay": "cosine"}


class Interrupted:
    """``spread``, until Ctrl-C in the evaluation of the given epoch."""

    def __init__(self, epoch):
        self.left = epoch

    def __call__(self, encoder):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return spread(encoder)


@pytest.mark.parametrize("engine", ALL_ENGINES)
@pytest.mark.parametrize("epoch", [2, 4, 7])
def test_resumed_equals_uninterrupted(train, tmp_path, saves_every_epoch, engine, epoch):
    expected = fit(train, engine=engine, evaluate=spread, **RULES)
    stopped, _ = fit(train, engine=engine, evaluate=Interrupted(epoch), run=tmp_path, **RULES)
    assert stopped.stopped == "interrupted"
    assert without_times(stopped.history) == without_times(expected[0].history)[: epoch - 1]
    found = fit(train, engine=engine, evaluate=spread, run=tmp_path, resume=True, **RULES)
    assert_same(found, expected)
    assert found[0].stopped == expected[0].stopped
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == found[0].history


def test_interrupted_twice(train, tmp_path, saves_every_epoch):
    expected = fit(train, evaluate=spread, **RULES)
    fit(train, evaluate=Interrupted(3), run=tmp_path, **RULES)
    fit(train, evaluate=Interrupted(2), run=tmp_path, resume=True, **RULES)
    assert_same(fit(train, evaluate=spread, run=tmp_path, resume=True, **RULES), expected)


def test_an_interrupted_training_has_the_best_weights_so_far(train):
    script = Script(0.1, 0.3, 0.2, then=KeyboardInterrupt())
    training, tables = fit(train, epochs=9, evaluate=script)
    assert (training.stopped, training.best_epoch, len(training.history)) == ("interrupted", 2, 3)
    assert torch.equal(tables[0], script.seen[1][0])


def test_epochs_that_were_done_after_the_last_checkpoint_are_done_again(train, tmp_path, monkeypatch):
    expected = fit(train, evaluate=spread, **RULES)
    saved = iter([-1.0, -1.0, 1e9, 1e9, 1e9, 1e9, 1e9])
    script = Interrupted(5)

    def evaluate(encoder):
        monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", next(saved))
        return script(encoder)

    fit(train, evaluate=evaluate, run=tmp_path, **RULES)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 4
    found = fit(train, evaluate=spread, run=tmp_path, resume=True, **RULES)
    assert_same(found, expected)
    assert [json.loads(line)["epoch"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [
        row["epoch"] for row in expected[0].history
    ]


def test_a_finished_run_resumes_to_itself(train, tmp_path):
    expected = fit(train, evaluate=spread, run=tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    assert_same(fit(train, evaluate=Script(then=AssertionError), run=tmp_path, resume=True), expected)
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_a_run_that_stopped_early_stays_stopped(train, tmp_path):
    options = {"epochs": 9, "stopping": EarlyStopping(1), "run": tmp_path}
    first, _ = fit(train, evaluate=Script(0.3, 0.2), **options)
    second, _ = fit(train, evaluate=Script(then=AssertionError), resume=True, **options)
    assert first.stopped == second.stopped == "early"
    assert second.history == first.history


def test_a_finished_run_goes_on_to_more_epochs(train, tmp_path):
    fit(train, evaluate=spread, run=tmp_path, epochs=3)
    found = fit(train, evaluate=spread, run=tmp_path, epochs=6, resume=True)
    assert_same(found, fit(train, evaluate=spread, epochs=6))


KILLED = """
import os, signal, sys
from pathlib import Path
import test_loop
from multimargin.train import loop

folder, engine, calls = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
loop._CHECKPOINT_SECONDS = -1.0

class Deadly(loop.Progress):
    def advance(self, interactions):
        global calls
        calls -= 1
        if calls == 0:
            os.kill(os.getpid(), signal.SIGKILL)

loop.Progress = Deadly
test_loop.fit(test_loop.random_interactions(), engine=engine, evaluate=test_loop.spread, run=folder, **test_loop.RULES)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
@pytest.mark.parametrize("engine", ENGINES)
def test_killed_within_an_epoch_and_resumed_equals_uninterrupted(train, tmp_path, engine):
    expected = fit(train, engine=engine, evaluate=spread, **RULES)
    per_epoch = -(-len(train) // 32)  # stretches: as many as batches here
    paths = [str(TESTS), str(TESTS / "unit" / "train"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    result = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), engine, str(3 * per_epoch + 2)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "lo')  # as if killed within the line
    assert_same(fit(train, engine=engine, evaluate=spread, run=tmp_path, resume=True, **RULES), expected)


def test_nothing_drawn_needs_no_number_and_draws_need_one(train):
    expected = fit(train, engine="grouped")
    for n in (None, 1):
        assert_same(fit(train, engine="grouped", n_negatives=n), expected)
    with pytest.raises(ArgumentError, match="n_negatives must be a whole number; got None"):
        fit(train, n_negatives=None)


def test_a_run_is_not_started_over_another(train, tmp_path):
    fit(train, run=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match="a run is here already"):
        fit(train, run=tmp_path)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("engine", ALL_ENGINES)
def test_a_loss_that_is_no_number_any_more_ends_the_run(train, engine, tmp_path):
    bad = {"encoder": MF(8, init_std=1e19, similarity="dot"), "clip_norm": None}
    with pytest.raises(DivergedError, match=r"loss must stay finite; got .* in epoch 1\. Lower learning_rate \(now"):
        fit(train, engine=engine, run=tmp_path, **bad)


def test_a_metric_that_is_no_number_is_never_the_best(train):
    with pytest.raises(DivergedError, match=r"NDCG@20 must stay finite; got nan in epoch 2"):
        fit(train, evaluate=Script(0.1, float("nan")))


def test_nothing_to_resume_is_an_error(train, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        fit(train, run=tmp_path, resume=True)


def test_a_checkpoint_cut_short_is_refused(train, tmp_path):
    fit(train, run=tmp_path)
    path = tmp_path / "checkpoints" / "last.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        fit(train, run=tmp_path, resume=True)


def test_a_checkpoint_of_another_width_is_refused(train, tmp_path):
    fit(train, run=tmp_path, dim=8)
    with pytest.raises(
        CheckpointError, match=r"another encoder, loss or sampler .*size mismatch.* Resume with the recipe"
    ):
        fit(train, run=tmp_path, resume=True, dim=9)


@pytest.mark.parametrize("other", [random_interactions(41), random_interactions(seed=1)], ids=["shape", "pairs"])
def test_a_checkpoint_of_other_data_is_refused(train, tmp_path, other):
    fit(train, run=tmp_path)
    with pytest.raises(CheckpointError, match=r"other training data. Resume with the data"):
        fit(other, run=tmp_path, resume=True)


# --- arguments


def test_no_interactions_is_an_error(train):
    with pytest.raises(DataError, match="training data must hold at least one interaction"):
        fit(train.select(np.zeros(len(train), dtype=bool)))


def test_fused_with_a_loss_that_it_cannot_run_says_why(train):
    with pytest.raises(ArgumentError, match="BPRLoss is not a sum over pairs"):
        fit(train, engine="fused", loss=BPRLoss())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_an_error():
    with pytest.raises(DeviceError, match=r"got 'cuda', and PyTorch sees no GPU. Use device=cpu"):
        Trainer(device="cuda")
    assert Trainer(device="auto").device == "cpu"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_negatives": 0}, "n_negatives must be 1 or more"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"weight_decay": -0.1}, "weight_decay must be 0 or more"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"epochs": 0}, "epochs must be 1 or more"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"evaluate_every": 0}, "evaluate_every must be 1 or more"),
        ({"engine": "fast"}, "engine must be one of auto, fused, grouped, shared, scored, steps"),
        ({"device": "gpu"}, "device must be one of auto, cpu, cuda"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
)
def test_a_broken_argument_is_named(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Trainer(**arguments)
