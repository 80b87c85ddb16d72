"""The benchmarks run on tiny data, and what they compare computes the same."""

import csv
import importlib
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from multimargin.data import Interactions, read_parts

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def run():
    """The command's module; its neighbours have plain names, so they are forgotten afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("run")
    for name in {path.stem for path in FOLDER.glob("*.py")} & sys.modules.keys():
        del sys.modules[name]


@pytest.fixture
def command(run, monkeypatch, tmp_path):
    """Return a function that runs the command and returns the rows of its table."""

    def call(*arguments):
        table = tmp_path / "results.csv"
        monkeypatch.setattr("sys.argv", ["run.py", "--quick", "--csv", str(table), *arguments])
        run.main()
        return list(csv.DictReader(table.read_text().splitlines())) if table.exists() else []

    return call


@pytest.fixture(scope="module")
def tiny(run, tmp_path_factory):
    """Data, and the arguments that ``--quick`` stands for."""
    folder = tmp_path_factory.mktemp("benchmarks")
    quick = Namespace(**run.QUICK, tables="random", budget=60.0, recipe=None, set=[])
    quick.negatives = 5
    found = run.data.make_up(folder / "tiny", *run.TINY)
    run.data.write_spectral(folder / "spectral.npz", found, quick.embedding_dim)
    return run.data.read(found, folder / "spectral.npz", quick.embedding_dim), quick


def turns_of(run, tiny, op):
    """Return what every implementation that is installed gives, by its name."""
    data, arguments = tiny
    taken = {}
    for name in run.chosen(op, None):
        arguments.worker = name
        taken[name] = run.OPS[op].implementations[name](data, arguments).turn()
    assert all(seconds > 0 for seconds, _ in taken.values())
    return {name: note for name, (_, note) in taken.items()}


def test_training_epochs_are_timed(run, tiny):
    assert {"pytorch", "fused", "steps"} <= turns_of(run, tiny, "training-epoch").keys()


def test_pools_are_timed_against_distinct_negatives(run, tiny):
    assert turns_of(run, tiny, "shared-negatives").keys() == {"distinct", "shared", "shared steps"}


def test_every_loss_and_every_sampler_is_timed(run, tiny):
    data, arguments = tiny
    for op, first in (("losses-epoch", "multi-margin"), ("samplers-epoch", "uniform")):
        assert run.chosen(op, None)[0] == first
    notes = {}
    for op, name in (
        ("losses-epoch", "multi-margin"), ("losses-epoch", "fused multi-margin"), ("losses-epoch", "top-k-softmax"),
        ("losses-epoch", "alignment-uniformity"), ("samplers-epoch", "uniform"), ("samplers-epoch", "dynamic"),
    ):  # fmt: skip
        arguments.worker = name
        seconds, notes[name] = run.OPS[op].implementations[name](data, arguments).turn()
        assert seconds > 0
    assert notes["multi-margin"] == notes["uniform"] == notes["top-k-softmax"] == "engine scored"
    assert notes["fused multi-margin"] == "engine fused"
    assert "engine steps" in notes["alignment-uniformity"]
    assert "of it sampling" in notes["dynamic"]


def test_epochs_on_a_graph_are_timed(run, tiny):
    assert turns_of(run, tiny, "lightgcn-epoch").keys() == {"pytorch", "pytorch csr", "lightgcn"}


def test_the_plain_graph_encoder_computes_ours(run, tiny):
    import torch
    from lightgcn_epoch import PlainLightGCN

    from multimargin.encoders import LightGCN

    data, _ = tiny
    ours = LightGCN(8, similarity="dot")
    ours.build(data.train, rng=run.np.random.default_rng(0))
    for compressed in (False, True):
        plain = PlainLightGCN(data.train, embedding_dim=8, batch_size=64, compressed=compressed)
        with torch.no_grad():
            plain.table.copy_(torch.cat((ours.user_table, ours.item_table)))
            torch.testing.assert_close(plain.tables(), torch.cat(ours.tables()), rtol=1e-4, atol=1e-6)


def test_every_encoder_is_timed(run, tiny):
    from multimargin.encoders import ENCODERS

    module = importlib.import_module("encoders_epoch")
    assert turns_of(run, tiny, "encoders-epoch").keys() == module.OPTIONS.keys()
    assert {kind for kind, _ in module.OPTIONS.values()} == set(ENCODERS)
    assert "sasrec" in turns_of(run, tiny, "sasrec-epoch")


def test_lines_of_items_in_order_are_sequences(run, tmp_path):
    (tmp_path / "sequences.txt").write_text("7 3 5\n5 2 3 9\n")
    found = run.data.read(tmp_path, None, 4)
    assert (len(found.train), len(found.test)) == (3, 2)
    assert found.test.items.ids(found.test.indices).to_list() == [5, 9]


def test_baselines_are_shipped_recipes(run):
    from multimargin.recipes.recipe import Recipe

    module = importlib.import_module("baselines")
    for recipe, changes, _ in module.RUNS.values():
        assert not Recipe.load(recipe, changes).is_trained
    assert len({module.folder_of(name) for name in module.RUNS}) == len(module.RUNS)


def test_hidden_users_are_folded_in(run, tmp_path):
    import multimargin as mm

    module = importlib.import_module("fold_in")
    run.data.make_up(tmp_path / "gowalla", *run.TINY)
    case = module.Case(lambda: mm.MF(8), "gowalla", {"epochs": 2, "n_negatives": 5, "learning_rate": 0.01})
    found = module.measure(case, tmp_path)
    module.write(tmp_path, {"encoder": "mf", **found})
    module.write(tmp_path, {"encoder": "sasrec", **found})
    assert all(0 <= float(found[way]) <= 1 for way in ("mean of items", "fold_in", "trained on them"))
    assert (tmp_path / "fold-in.md").read_text().count("\n| ") == 3


def test_all_make_the_same_lists(run, tiny):
    notes = turns_of(run, tiny, "top-k")
    assert len(notes) >= 5
    assert set(notes.values()) == {"100.00 % of places as in ours"}


def test_all_find_the_same_recall(run, tiny):
    notes = turns_of(run, tiny, "evaluation")
    assert len(notes) >= 3
    assert len({note.split()[-1] for note in notes.values() if "Recall@20" in note}) == 1


def test_the_plain_metrics_are_ours(run, tiny):
    from plain import metrics, rank

    from multimargin.evaluate import Evaluator

    data, _ = tiny
    found = metrics(rank(data.tables, data.train, 20, block=64), data)
    assert found == pytest.approx(Evaluator(data.test, seen=data.train, k=20)(*data.tables, "dot").metrics, abs=1e-12)


def test_training_stops_at_the_target_or_says_so(run, tiny):
    data, arguments = tiny
    assert turns_of(run, tiny, "fit-to-target")["MF + MML"].startswith("Recall@20 0.")
    unreachable = Namespace(**vars(arguments) | {"target": 1.0, "set": ["epochs=2"]})
    _, note = run.OPS["fit-to-target"].implementations["MF + MML"](data, unreachable).turn()
    assert "not reached" in note
    assert "after 2 epochs" in note


def test_the_command_fills_the_table(command, capsys):
    rows = command("training-epoch", "--only", "fused", "steps", "--negatives", "3", "5")
    assert [row["implementation"] for row in rows] == ["fused", "steps"] * 2
    assert ["N=3" in row["shape"] for row in rows] == [True, True, False, False]
    assert all(float(row["p50_s"]) > 0 and "numba" in row["versions"] and row["hardware"] for row in rows)
    assert "1.00x" in capsys.readouterr().out


def test_a_fresh_process_is_timed_as_a_whole(command):
    training, whole = command("fit-to-target", "--only", "MF", "--set", "epochs=1", "n_negatives=2")
    assert training["implementation"] == "MF + MML, training only"
    assert whole["implementation"] == "MF + MML, whole process"
    assert float(whole["p50_s"]) > float(training["p50_s"])
    assert "N=2" in whole["shape"]
    assert "Recall@20" in whole["shape"]


def test_a_missing_library_is_named_with_the_way_to_get_it(run, command, monkeypatch, capsys):
    monkeypatch.setattr(run.peers, "find_spec", lambda _: None)
    with pytest.raises(SystemExit, match="--only must name an implementation of top-k"):
        command("top-k", "--only", "implicit")
    assert "pip install -r benchmarks/requirements.txt" in capsys.readouterr().out


def test_an_unknown_operation_is_refused(command, capsys):
    with pytest.raises(SystemExit):
        command("top-kk")
    assert "OP must be one of training-epoch" in capsys.readouterr().err


@pytest.fixture
def scale(run, monkeypatch, capsys):
    """Return a function that runs ``scale.py`` and returns what it prints."""
    module = importlib.import_module("scale")

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["scale.py", *map(str, arguments)])
        monkeypatch.setattr(module, "_PER_BLOCK", 700)
        module.main()
        return capsys.readouterr().out

    return call


def test_generated_data_is_of_its_size_and_long_tailed_in_each_format(scale, tmp_path):
    size = ("--interactions", "4e3", "--users", "200", "--items", "500")
    for form in ("txt", "csv", "parquet"):
        assert "MiB in" in scale("make", tmp_path / form, *size, "--format", form)
    split = read_parts(tmp_path / "txt")
    log = split.train.union([split.test])
    assert 3000 < len(log) < 5000
    assert (split.n_users, len(split.test) > 100, log.n_duplicates) == (200, True, 0)
    assert split.train.user_counts.min() > 0
    assert log.item_counts.max() > 5 * log.item_counts.mean()
    for form in ("csv", "parquet"):
        found = Interactions.read(tmp_path / form / f"log.{form}")
        assert (found.users.ids(found.user_index).to_numpy() == log.user_index).all()
        assert (found.items.ids(found.indices).to_numpy() == log.indices).all()


def test_a_run_at_scale_says_what_each_phase_takes(scale, tmp_path):
    for name in ("data", "gowalla"):
        scale("make", tmp_path / name, "--interactions", "2e3", "--users", "100", "--items", "300")
    small = ("--negatives", 3, "--embedding-dim", 8, "--sample", 20, "--gowalla", tmp_path / "gowalla")
    printed = scale("run", tmp_path / "data", *small)
    phases = [line.split()[0] for line in printed.splitlines()[2:]]
    assert phases == ["read", "build", "read", "train", *phases[4:6], "an", "evaluate", "save"]
    assert "times Gowalla's" in printed
    assert "20 users" in printed
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"train.txt", "test.txt"}
