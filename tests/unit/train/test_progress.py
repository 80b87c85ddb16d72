"""What a person sees: lines on stderr where it is no terminal, nothing on stdout, nothing when asked for silence."""

import sys

import pytest

from multimargin.train.progress import Progress

ROW = {"epoch": 4, "loss": 0.123456, "NDCG@20": 0.2}


def show(shown, row, **arguments):
    with Progress(epochs=10, done=3, per_epoch=50, metric="NDCG@20", shown=shown) as progress:
        progress.advance(50)
        progress.epoch(row, 0.25)


def test_a_line_for_each_epoch(capsys):
    show(True, ROW)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("epoch 4/10  loss 0.1235  NDCG@20 0.2000 (best 0.2500)  ")
    assert err.endswith("s left\n")


def test_an_epoch_without_evaluation_shows_its_loss(capsys):
    show(True, {"epoch": 4, "loss": 0.5})
    assert capsys.readouterr().err.startswith("epoch 4/10  loss 0.5000  0 s")


def test_silence(capsys):
    show(False, ROW)
    assert capsys.readouterr() == ("", "")


def test_the_time_left_counts_from_where_a_resumed_run_began(capsys, monkeypatch):
    now = iter([100.0, 105.0])
    monkeypatch.setattr("multimargin.train.progress.time.perf_counter", lambda: next(now))
    show(True, ROW)  # one epoch of this run took 5 s; 6 are left
    assert "5 s, 30 s left" in capsys.readouterr().err


@pytest.mark.parametrize("shown", [True, False])
def test_a_bar_on_a_terminal(capsys, monkeypatch, shown):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    show(shown, ROW)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("epoch 4/10" in err) == shown
