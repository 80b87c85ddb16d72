"""The whole-epoch kernel: equals the step-by-step path and plain PyTorch, whatever the threads and stretches."""

import time
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from plain_training import random_interactions, train_plainly

from multimargin.encoders import MF
from multimargin.kernels.fused_epoch import FusedEpoch
from multimargin.kernels.fused_epoch.scoring import limit
from multimargin.kernels.lazy_adam.cpu import as_clock, as_table
from multimargin.losses import CosineContrastiveLoss, MultiMarginLoss
from multimargin.negatives import UniformNegatives
from multimargin.optim import LazyAdam
from multimargin.rng import Streams
from multimargin.train.loop import Trainer

# Adam divides by the size of a gradient, so the few entries whose gradient nearly cancels amplify float32's rounding
TOLERANCE = 2e-5  # of 99 in 100 entries, of size 0.1 to 1, after a dozen steps of 0.01 each
MOVEMENT = 5e-3  # of the whole table, relative to how far it moved: one forgotten row is above 0.05

MML = {"margins": (-0.1, 0.1, 0.3), "margin_weights": (0.2, 0.3, 0.5), "pos_weight": 0.7, "neg_weight": 3.0}


def train_with(
    engine, train, *, similarity="cosine", dim=7, loss=None, exclude_seen=False, init_std=0.3, epochs=1, **options
):
    """Return the tables and the losses of the epochs; ``engine`` "plain" is PyTorch in float64."""
    options = {"batch_size": 32, "n_negatives": 9, "learning_rate": 0.01, "dropout": 0.0, "clip_norm": None} | options
    trainer = Trainer(epochs=epochs, engine="auto" if engine == "plain" else engine, device="cpu", seed=5, **options)
    encoder = MF(dim, similarity=similarity, init_std=init_std)
    parts = {
        "encoder": encoder,
        "loss": loss or MultiMarginLoss(**MML),
        "negatives": UniformNegatives(exclude_seen=exclude_seen),
    }
    if engine == "plain":
        return train_plainly(trainer, train, **parts)
    training = trainer.fit(train, **parts, progress=False)
    return *(table.detach() for table in encoder.tables()), [row["loss"] for row in training.history]


def assert_engines_agree(train, **arguments):
    *exact, losses = train_with("plain", train, **arguments)
    *start, _ = train_with("plain", train, **(arguments | {"learning_rate": 1e-30}))
    for engine in ("fused", "steps"):
        *tables, found_losses = train_with(engine, train, **arguments)
        assert found_losses == pytest.approx(losses, rel=1e-5, abs=1e-7)
        for name, found, wanted, before in zip(("users", "items"), tables, exact, start, strict=True):
            off = (found.double() - wanted).abs()
            assert off.quantile(0.99) <= TOLERANCE, f"{engine}, {name}"
            assert off.norm() <= MOVEMENT * (wanted - before).norm(), f"{engine}, {name}"


@pytest.fixture(scope="module")
def train():
    """Interactions that do not divide into batches of 32, of few enough users that batches repeat them."""
    found = random_interactions()
    assert len(found) % 32
    return found


@pytest.mark.parametrize(
    ("similarity", "exclude_seen", "dropout", "clip_norm"),
    list(product(("cosine", "dot"), (False, True), (0.0, 0.1), (None, 0.05))),
)
def test_equals_step_by_step_and_plain_pytorch(train, similarity, exclude_seen, dropout, clip_norm):
    assert_engines_agree(train, similarity=similarity, exclude_seen=exclude_seen, dropout=dropout, clip_norm=clip_norm)


@pytest.mark.parametrize("dim", [1, 2, 7, 16, 64, 67])
def test_every_width(train, dim):
    assert_engines_agree(train, dim=dim, similarity="dot" if dim == 1 else "cosine", dropout=0.1)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_weight_decay(train, similarity):
    assert_engines_agree(train, similarity=similarity, weight_decay=0.1, clip_norm=0.05)


@pytest.mark.parametrize("n_negatives", [1, 2, 3, 4, 5, 50])
def test_every_number_of_negatives(train, n_negatives):
    assert_engines_agree(train, n_negatives=n_negatives)


@pytest.mark.parametrize("batch_size", [1, 13, 1000])
def test_every_size_of_batch(batch_size):
    assert_engines_agree(random_interactions(12, 23, 3), batch_size=batch_size, n_negatives=3)


@pytest.mark.parametrize(("n_users", "n_items", "per_user"), [(300, 4001, 1), (3, 700, 40)])
def test_catalogues_of_which_a_batch_draws_little(n_users, n_items, per_user):
    assert_engines_agree(random_interactions(n_users, n_items, per_user), n_negatives=2, epochs=2)


@pytest.mark.parametrize(
    "loss",
    [
        CosineContrastiveLoss(0.2, neg_weight=2.0),
        CosineContrastiveLoss(-2.0, neg_weight=1.0),  # every pair has a gradient
        CosineContrastiveLoss(2.0),  # no negative has
        CosineContrastiveLoss(0.1, pos_weight=0.0, neg_weight=2.0),
        CosineContrastiveLoss(0.1, neg_weight=0.0),
        MultiMarginLoss((0.1, 0.2), (0.0, 1.0), neg_weight=2.0),
    ],
    ids=["ccl", "all", "none", "no-positive", "weight-0", "slope-0"],
)
def test_every_hinge_loss(train, loss):
    assert_engines_agree(train, loss=loss)


@pytest.mark.parametrize("n_items", [97, 1009])  # limits taken once for each item of a step, or for each pair
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_what_is_screened_out_has_no_gradient(similarity, n_items):
    """Many pairs just below and above the smallest margin, among rows that drift far while idle."""
    loss = MultiMarginLoss((0.15, 0.3), (0.5, 0.5), neg_weight=3.0)
    arguments = {"loss": loss, "similarity": similarity, "n_negatives": 4, "init_std": 0.1, "epochs": 2, "dropout": 0.1}
    assert_engines_agree(random_interactions(40, n_items), **arguments)


def test_the_published_start_is_followed(train):
    """Rows of norm 1e-3 and a clipped gradient: the first steps of a published run."""
    arguments = {"init_std": 1e-4, "learning_rate": 1e-4, "clip_norm": 10.0, "dropout": 0.1, "dim": 64}
    loss = {"loss": MultiMarginLoss()}
    plain = train_with("plain", train, **arguments, **loss)
    for engine in ("fused", "steps"):
        users, items, losses = train_with(engine, train, **arguments, loss=MultiMarginLoss())
        assert losses == pytest.approx(plain[2], rel=1e-4)
        for found, exact in ((users, plain[0]), (items, plain[1])):
            assert ((found.double() - exact).norm() / exact.norm()).item() < 1e-2  # steps are as large as the rows


@pytest.mark.parametrize("n_items", [97, 5003])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_the_number_of_threads_changes_nothing(at_threads, similarity, n_items):
    train = random_interactions(40, n_items)
    results = []
    for count in (1, 2, 3):
        at_threads(count)
        results.append(train_with("fused", train, similarity=similarity, epochs=3, dropout=0.1, clip_norm=0.1, dim=16))
    for users, items, losses in results[1:]:
        assert torch.equal(users, results[0][0])
        assert torch.equal(items, results[0][1])
        assert losses == results[0][2]


class Kernel:
    """The kernel on its own, as an engine sets it up."""

    def __init__(self, train, *, cosine=True, dim=7, **options):
        rng = np.random.default_rng(3)
        self.tables = [
            torch.nn.Parameter(torch.from_numpy(rng.standard_normal((rows, dim), dtype=np.float32)))
            for rows in (train.n_users, train.n_items)
        ]
        self.optimizer = LazyAdam(self.tables)
        self.order = Streams(1).generator("shuffle").permutation(len(train))
        arguments = {
            "pair_users": train.user_index, "pair_items": train.indices, "cosine": cosine, "positive_slope": 1.0,
            "margins": (0.0, 0.3), "slopes": (1.0, 2.0), "n_negatives": 6, "negatives_key": 2**63 + 11,
            "dropout_key": 12, "dropout": 0.2, "clip_norm": 0.1, "weight_decay": 0.0, "seen": None,
        } | options  # fmt: skip
        states = [self.optimizer.rows_of(table) for table in self.tables]
        self.fused = FusedEpoch(*self.tables, *states, self.optimizer.schedule, **arguments)

    def run(self, *stops, place=0, batch_size=16, learning_rate=0.01):
        """Run the epoch in stretches that end at ``stops`` and at its end; return loss and settled tables."""
        stops = [0, *stops, len(self.order)]
        loss = sum(
            self.fused.run(
                self.order, start, stop, place=place, batch_size=batch_size, learning_rate=learning_rate
            )
            for start, stop in pairwise(stops)
        )  # fmt: skip
        self.optimizer.settle()
        return loss, *(table.detach().clone() for table in self.tables)


@pytest.mark.parametrize(("n_items", "dim"), [(97, 16), (5003, 7)])
@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("stops", [(16,), (32, 64, 96), tuple(range(16, 150, 16))])
def test_where_an_epoch_is_cut_changes_nothing(cosine, stops, n_items, dim):
    train = random_interactions(40, n_items)
    whole = Kernel(train, cosine=cosine, dim=dim).run()
    cut = Kernel(train, cosine=cosine, dim=dim).run(*stops)
    assert cut[0] == pytest.approx(whole[0], rel=1e-12)  # a sum of float64s, in other groups
    assert torch.equal(cut[1], whole[1])
    assert torch.equal(cut[2], whole[2])


def test_a_stretch_in_which_nothing_is_left_does_nothing(train):
    kernel = Kernel(train)
    before = [table.detach().clone() for table in kernel.tables]
    assert kernel.fused.run(kernel.order, len(train), len(train), place=0, batch_size=16, learning_rate=0.1) == 0
    assert all(torch.equal(table, other) for table, other in zip(kernel.tables, before, strict=True))
    assert kernel.optimizer.schedule.step == 0


def test_another_place_in_the_streams_is_another_result(train):
    results = [Kernel(train).run(place=place)[1] for place in (0, 0, 1, 10**12)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert not torch.equal(results[2], results[3])


def test_never_a_seen_item_moves_a_user_away(train):
    """With all items but one seen, that one is every negative: it alone moves, besides the positives."""
    seen = np.arange(train.n_users + 1) * (train.n_items - 1), np.tile(np.arange(1, train.n_items), train.n_users)
    kernel = Kernel(
        train,
        seen=(seen[0].astype(np.int64), seen[1].astype(np.int32)),
        positive_slope=0.0,
        margins=(-1.5,),
        slopes=(1.0,),
    )
    before = kernel.tables[1].detach().clone()
    kernel.run()
    moved = (kernel.tables[1].detach() != before).any(dim=1)
    assert moved.nonzero().flatten().tolist() == [0]


def test_long_training_stays_finite_and_keeps_learning(train):
    losses = train_with("fused", train, epochs=60, dropout=0.1, dim=16, init_std=1e-4, learning_rate=0.003)[2]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] / 2


def test_the_compilation_does_not_speak_against_threads(train, monkeypatch, at_threads):
    at_threads(2)

    def run_steps(thread, threads, *_):
        if not run_steps.signatures:
            time.sleep(0.3)
            run_steps.signatures.append("compiled")
        time.sleep(0.02 / threads)
        return 0.0

    run_steps.signatures = []
    monkeypatch.setattr("multimargin.kernels.fused_epoch.cpu.run_steps", run_steps)
    monkeypatch.setattr("multimargin.kernels.fused_epoch.launch._PIECE", 1)
    kernel = Kernel(train)
    kernel.fused.run(kernel.order, 0, 16 * 5, place=0, batch_size=16, learning_rate=0.01)
    assert kernel.fused._pace.choose() == 2


@pytest.mark.parametrize("cosine", [True, False])
def test_limits_are_the_norm_and_the_drift_of_the_row_as_it_is_now(train, cosine):
    """The screen of ``scoring.limit`` against its definition, in the middle of an epoch, squares included."""
    kernel = Kernel(train, cosine=cosine, margins=(0.2, 0.3))
    kernel.fused.run(kernel.order, 0, 48, place=0, batch_size=16, learning_rate=0.05)
    kernel.fused.run(kernel.order, 48, 96, place=0, batch_size=16, learning_rate=0.05)
    state, schedule = kernel.optimizer.rows_of(kernel.tables[1]), kernel.optimizer.schedule
    w, e = kernel.tables[1].detach().double().numpy(), state.direction.double().numpy()
    squares = kernel.fused._squares
    np.testing.assert_allclose(squares, np.stack([(w * w).sum(1), (w * e).sum(1), (e * e).sum(1)], 1), 1e-4, 1e-5)
    items = as_table(kernel.tables[1], state, squares)
    clock = as_clock(schedule, *(np.ones(1),) * 3)
    lacking = 0
    for row in range(train.n_items):
        missing = 0.0
        if state.last[row] >= 0:
            missing = schedule.idle_drift(int(state.last[row])) - float(state.applied[row])
        lacking += missing != 0
        height, spread = limit(row, items, clock, kernel.fused._settings, schedule.step)
        norm = np.linalg.norm(w[row] - missing * e[row]) if cosine else 1.0
        assert height == pytest.approx(np.float32(0.2) * norm, rel=2e-4)
        assert height < np.float32(0.2) * norm
        assert spread == pytest.approx(abs(missing) * np.linalg.norm(e[row]), rel=1e-4)
    assert lacking > 20
