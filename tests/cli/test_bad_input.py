"""Every kind of bad input ends in one clear line on stderr and exit code 2, with nothing half written."""

import errno
import fcntl
import os
from pathlib import Path

import pytest
import torch
from toy import TINY

GOOD = "user_id,item_id\na,x\na,y\nb,x\nb,z\n"


def listing(folder):
    """Return every path under a folder with what would change if it were written."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def refused(cli, trained, monkeypatch):
    """Return a function that runs a command, checks that it is refused properly, and returns what it says."""
    monkeypatch.chdir(trained)

    def call(*arguments):
        before = listing(trained)
        result = cli(*arguments)
        assert result.code == 2, result
        assert result.out == ""
        assert result.err.startswith("error: ")
        assert result.err.count("\n") == 1, result.err
        assert listing(trained) == before
        return result.err

    return call


FIT = ["fit", "mf-mml", "--data", "events.csv", "--run", "new"]

BAD_FITS = {
    "unknown recipe": (["fit", "gowalla-mf-mmll-100"], "Did you mean 'gowalla-mf-mml-100'?"),
    "recipe file missing": (["fit", "mine.yaml"], "mine.yaml"),
    "unknown recipe key": ([*FIT, "learning_rat=1e-3"], "Did you mean 'learning_rate'?"),
    "unknown key of a part": ([*FIT, "loss.marginz=[.5]"], "Did you mean 'loss.margins'?"),
    "unknown loss": ([*FIT, "loss=multi-marginal"], "Did you mean 'multi-margin'?"),
    "not an override": ([*FIT, "epochs"], "key=value"),
    "margins out of order": ([*FIT, "loss.margins=[.9,.8,.7]"], "margins must increase strictly"),
    "lengths differ": ([*FIT, "loss.margins=[.7,.8]"], "margin_weights"),
    "no negatives": ([*FIT, "n_negatives=0"], "n_negatives must be 1 or more; got 0"),
    "negative learning rate": ([*FIT, "learning_rate=-1"], "learning_rate must be"),
    "text for a number": ([*FIT, "epochs=many"], "epochs must be"),
    "dropout of 1": ([*FIT, "dropout=1.0"], "dropout must be"),
    "unknown metric": ([*FIT, "metric=Accuracy@20"], "metric must be one of"),
    "unknown protocol": ([*FIT, "protocol=papers"], "protocol must be one of"),
    "bad split fractions": ([*FIT, "split.valid=.5", "split.test=.6"], "valid + test must be below 1"),
    "no data": (["fit", "mf-mml", "--run", "new"], "--data PATH"),
    "data missing": (["fit", "mf-mml", "--data", "event.csv", "--run", "new"], "Did you mean 'events.csv'?"),
    "given parts, one file": ([*FIT, "split=given"], "train"),
    "negative seed": ([*FIT, "--seed", "-3"], "seed must be 0 or more"),
    "zero threads": ([*FIT, "--threads", "0"], "threads must be 1 or more"),
    "threads not a number": ([*FIT, "--threads", "two"], "--threads"),
    "unknown option": ([*FIT, "--epochs", "3"], "--epochs"),
    "run is a file": (["fit", "mf-mml", "--data", "events.csv", "--run", "events.csv"], "is a file"),
    "run inside a file": (["fit", "mf-mml", "--data", "events.csv", "--run", "events.csv/run"], "events.csv"),
    "run holds another run": (["fit", "mf-mml", "--data", "events.csv", "--run", "run", *TINY], "--resume"),
    "run holds other files": (["fit", "mf-mml", "--data", "events.csv", "--run", "."], "other files"),
    "nothing to resume": ([*FIT, "--resume"], "new holds none"),
    "resume another recipe": (
        ["fit", "mf-mml", "--data", "events.csv", "--run", "run", "--resume", *TINY, "seed=7"],
        "seed was 0",
    ),
    "resume fewer epochs": (
        ["fit", "mf-mml", "--data", "events.csv", "--run", "run", "--resume", *TINY, "epochs=1"],
        "epochs was 2 in run and is 1. epochs may grow, where decay is null.",
    ),
    "no stopping without validation": ([*FIT, "split.valid=0.0"], "validation"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_FITS.values(), ids=BAD_FITS)
def test_fit(refused, arguments, message):
    assert message in refused(*arguments)


BAD_FILES = {
    "empty": ("", "empty"),
    "only a header": ("user_id,item_id\n", "interactions"),
    "missing column": ("who,item_id\na,x\nb,y\n", "user"),
    "wrong separator": (GOOD.replace(",", ";"), "separator"),
    "ragged line": (GOOD + "c\n", "line 6"),
    "missing id": (GOOD + "NaN,x\n", "line 6"),
    "not text": ("\x00\x01\x02" * 9, "binary"),
}


@pytest.mark.parametrize(("text", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_broken_file(refused, trained, text, message):
    (trained / "bad.csv").write_text(text)
    options = ["read.separator=','"] if message == "separator" else []
    assert message in refused("fit", "mf-mml", "--data", "bad.csv", "--run", "new", *options)


def test_leave_last_out_without_times(refused, trained):
    (trained / "bad.csv").write_text(GOOD)
    said = refused("fit", "mf-mml", "--data", "bad.csv", "--run", "new", "split=leave-last-out")
    assert "timestamps" in said


def test_resume_other_data(refused, trained):
    with (trained / "events.csv").open("a") as file:
        file.write("u00,i01,5\n")
    said = refused("fit", "mf-mml", "--data", "events.csv", "--run", "run", "--resume", *TINY)
    assert "data it started with" in said


def test_run_in_use(refused, trained):
    (trained / "new").mkdir()
    handle = os.open(trained / "new", os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert "in use" in refused(*FIT, *TINY)
    finally:
        os.close(handle)


COMPARE = ["compare", "mf-mml", "--data", "events.csv", "-o", "new"]

BAD_COMPARISONS = {
    "unknown recipe": ([*COMPARE, "mf-mmll"], "Did you mean 'mf-mml'?"),
    "no recipe": (["compare", "epochs=3", "--data", "events.csv"], "recipes must hold at least one"),
    "twice the same": ([*COMPARE, "mf-mml"], "got 'mf-mml' twice"),
    "no seeds": ([*COMPARE, "--seeds", "0"], "seeds must be 1 or more; got 0"),
    "seeds not a number": ([*COMPARE, "--seeds", "five"], "--seeds"),
    "no data": (["compare", "mf-mml", "-o", "new"], "--data PATH"),
    "data missing": (["compare", "mf-mml", "--data", "event.csv", "-o", "new"], "Did you mean 'events.csv'?"),
    "unknown protocol": ([*COMPARE, "--protocol", "papers"], "protocol must be one of"),
    "unknown metric": ([*COMPARE, "--metric", "Recal@20"], "metric must be one of"),
    "unknown key": ([*COMPARE, "epoch=3"], "Did you mean 'epochs'?"),
    "vary without values": ([*COMPARE, "--vary", "n_negatives"], "--vary must read KEY=[VALUE,...]"),
    "vary an unknown key": ([*COMPARE, "--vary", "n_negative=[1,2]"], "Did you mean 'n_negatives'?"),
    "no jobs": ([*COMPARE, "--jobs", "0"], "--jobs must be 1 or more; got 0"),
    "a folder of other files": (["compare", "mf-mml", "--data", "events.csv", "-o", "."], "other files"),
    "a run folder": (["compare", "mf-mml", "--data", "events.csv", "-o", "run"], "other files"),
    "a file": (["compare", "mf-mml", "--data", "events.csv", "-o", "events.csv"], "is a file"),
    "a folder of another comparison": (
        ["compare", "mf-mml", "--data", "events.csv", "-o", "other"],
        "it holds another: its data_hash is",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_COMPARISONS.values(), ids=BAD_COMPARISONS)
def test_compare(refused, trained, arguments, message):
    (trained / "other").mkdir()
    (trained / "other" / "comparison.json").write_text("{}")
    assert message in refused(*arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_gpu_asked_for_and_absent(refused):
    assert "cuda" in refused(*FIT, "device=cuda")


def full(*_arguments, **_options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "new")


@pytest.mark.parametrize("method", ["write_text", "replace", "mkdir"])
def test_full_disk_while_fitting(refused, monkeypatch, method):
    monkeypatch.setattr(Path, method, full)
    assert "No space left on device" in refused(*FIT, *TINY)


@pytest.mark.parametrize(
    "arguments", [["recommend", "run", "-o", "recs.csv"], ["recommend", "run", "-o", "recs.parquet"]]
)
def test_full_disk_while_recommending(refused, monkeypatch, arguments):
    monkeypatch.setattr(os, "replace", full)
    assert "No space left on device" in refused(*arguments)


BAD_USES = {
    "no such run": (["recommend", "runn"], "runn"),
    "run is no run": (["evaluate", "."], "recipe.yaml"),
    "unknown user": (["recommend", "run", "--users", "u00,nobody"], "'nobody'"),
    "users file missing": (["recommend", "run", "--users", "lists/users.txt"], "lists/users.txt"),
    "more k than items": (["recommend", "run", "--k", "1000"], "k must be"),
    "k of 0": (["recommend", "run", "--k", "0"], "k must be"),
    "unknown format": (["recommend", "run", "-o", "recs.xlsx"], ".parquet"),
    "folder for a file missing": (["recommend", "run", "-o", "lists/recs.csv"], "lists"),
    "unknown item": (["similar", "run", "--items", "i99"], "'i99'"),
    "evaluate at k of 0": (["evaluate", "run", "--k", "20,0"], "--k must be"),
    "evaluate at no number": (["evaluate", "run", "--k", "ten"], "--k must be"),
    "evaluate on missing data": (["evaluate", "run", "--data", "no.csv"], "no.csv"),
    "export without folder": (["export", "run"], "--to"),
    "export into a file": (["export", "run", "--to", "events.csv"], "events.csv"),
    "unknown data set": (["data", "fetch", "gowala"], "Did you mean 'gowalla'?"),
    "describe nothing": (["data", "describe", "nothing.csv"], "nothing.csv"),
    "unknown kind": (["list", "looses"], "Did you mean 'losses'?"),
    "unknown command": (["fitt"], "fitt"),
    "demo on another run": (["demo", "--to", "."], "another run"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_USES.values(), ids=BAD_USES)
def test_use(refused, trained, arguments, message):
    assert message in refused(*arguments)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("info.json", "{"),
        ("info.json", "[]"),
        ("recipe.yaml", "epochs: ["),
        ("recipe.yaml", "epoch: 3"),
    ],
)
def test_corrupt_run(refused, trained, file, text):
    (trained / "run" / file).write_text(text)
    refused("evaluate", "run")


def test_every_corrupt_file_of_the_model(refused, trained):
    files = [path for path in (trained / "run" / "model").rglob("*") if path.is_file()]
    assert files
    for path in files:
        whole = path.read_bytes()
        for broken in (b"", whole[: len(whole) // 2], b"nonsense" * 9):
            path.write_bytes(broken)
            refused("recommend", "run")
        path.unlink()
        refused("recommend", "run")
        path.write_bytes(whole)


def test_corrupt_checkpoint(refused, trained):
    (trained / "run" / "checkpoints" / "last.safetensors").write_bytes(b"nonsense" * 9)
    refused("fit", "mf-mml", "--data", "events.csv", "--run", "run", "--resume", *TINY, "epochs=2")


def test_data_check_reports_on_stdout_and_still_says_no(cli, tmp_path):
    (tmp_path / "bad.csv").write_text(GOOD + "c\n")
    result = cli("data", "check", tmp_path / "bad.csv")
    assert result.code == 2
    assert "line 6" in result.out
    assert result.err.count("\n") == 1
