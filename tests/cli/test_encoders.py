"""Encoders from the command line: features from files, newcomers in the lists, a model continued."""

import polars as pl
import pytest
from toy import TINY

FIT = ["fit", "mf-mml", "encoder=two-tower"]


@pytest.fixture
def features(events, tmp_path):
    """A file of item features with one item that the log lacks."""
    ids = sorted({*pl.read_csv(events)["item_id"], "i99"})
    path = tmp_path / "items.csv"
    pl.DataFrame({"item_id": ids, "parity": ["even" if int(i[1:]) % 2 == 0 else "odd" for i in ids]}).write_csv(path)
    return path


def test_features_come_from_a_file_and_newcomers_are_recommended(cli, events, features, tmp_path):
    run = tmp_path / "run"
    result = cli(*FIT, f"encoder.item_features={features}", "--data", events, "--run", run, *TINY)
    assert result.code == 0, result.err
    assert f"item_features: {features}" in (run / "recipe.yaml").read_text()
    lists = pl.read_csv(cli("recommend", run, "--k", "25").out.encode())
    assert "i99" in lists["item_id"].to_list()
    assert cli("evaluate", run).code == 0
    assert cli("similar", run, "--items", "i99", "--k", "3").code == 0


def test_a_file_of_features_that_cannot_be_used_is_one_line(cli, events, tmp_path):
    (tmp_path / "items.csv").write_text("name,price\na,1\n")
    given = [f"encoder.item_features={tmp_path / 'items.csv'}", "--data", events, "--run", tmp_path / "run"]
    result = cli(*FIT, *given, *TINY)
    assert (result.code, result.out) == (2, "")
    assert "must have a column item_id or item or id; it has name, price" in result.err
    assert not (tmp_path / "run").exists()


def test_a_run_is_continued_with_new_interactions(cli, trained, tmp_path):
    log = pl.read_csv(trained / "events.csv")
    new = pl.DataFrame({"user_id": ["new"] * 6, "item_id": log["item_id"].unique().sort()[:6], "timestamp": range(6)})
    pl.concat([log, new]).write_csv(tmp_path / "more.csv")
    run = tmp_path / "run"
    more = ["--data", tmp_path / "more.csv", "--run", run]
    result = cli("fit", "mf-mml", *more, "--start", trained / "run", *TINY)
    assert result.code == 0, result.err
    assert f'"start": "{trained / "run"}"' in (run / "info.json").read_text()
    assert cli("recommend", run, "--users", "new,u00", "--k", "3").out.count("\n") == 7
    result = cli("fit", "mf-mml", *more[:2], "--run", tmp_path / "other", "--start", tmp_path / "gone", *TINY)
    assert (result.code, result.err.count("\n")) == (2, 1)
