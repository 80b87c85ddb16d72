"""``multimargin compare`` as a user types it: tables, files, a kill half way, and bad input."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy import TINY, write_events

COMMAND = Path(sys.executable).with_name("multimargin")
RECIPES = ["mf-mml", "mine.yaml"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_events(tmp_path / "events.csv")
    (tmp_path / "mine.yaml").write_text("loss: bpr\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_table_and_files(cli, folder):
    arguments = ["compare", *RECIPES, "--data", "events.csv", "--protocol", "paper", *TINY, "--threads", "2"]
    result = cli(*arguments, "--seeds", "1")
    assert result.code == 0, result.err
    assert "2 methods on events.csv, paper protocol" in result.out
    assert "| mf-mml |" in result.out
    assert "Recall@5 (paper)" in result.out
    assert result.out.splitlines()[-1] == "Report: comparisons/events-paper/report.html"
    made = {path.name for path in (folder / "comparisons" / "events-paper").iterdir()}
    assert made == {
        "comparison.json", "pairs.csv", "report.html", "results.csv", "results.json", "results.md", "runs", "runs.csv",
    }  # fmt: skip
    again = cli(*arguments, "--seeds", "2", "--jobs", "2", "--json")
    assert again.code == 0, again.err
    assert again.err.count("done before") == 2
    found = json.loads(again.out)
    assert found["protocol"] == "paper"
    assert found["seeds"] == [0, 1]
    assert {row["method"] for row in found["summary"]} == {"mf-mml", "mine"}
    # a run on its own says the same
    alone = cli("fit", "mf-mml", "--data", "events.csv", "--run", "alone", "--json", "protocol=paper", "split_seed=0",
                "seed=1", *TINY)  # fmt: skip
    row = next(row for row in found["runs"] if (row["method"], row["seed"]) == ("mf-mml", 1))
    assert row["NDCG@5"] == pytest.approx(json.loads(alone.out)["NDCG@5"], rel=1e-12)


def test_killed_half_way_and_started_again_it_loses_nothing(cli, folder):
    changes = ["engine=steps", "stopping=null", *(each for each in TINY if not each.startswith("epochs")), "epochs=30"]
    arguments = ["compare", "mf-mml", "--data", "events.csv", "--seeds", "2", "--jobs", "1", "-o", "killed", *changes]
    process = subprocess.Popen([COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    runs = folder / "killed" / "runs" / "mf-mml"
    history, deadline = runs / "seed-1" / "metrics.jsonl", time.monotonic() + 240
    while not (history.exists() and len(history.read_text().splitlines()) > 2):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    finished = (runs / "seed-0" / "info.json").stat().st_mtime_ns
    result = cli(*arguments, "--json")
    assert result.code == 0, result.err
    assert "seed-0, done before" in result.err
    assert "seed-1, done after" in result.err
    assert (runs / "seed-0" / "info.json").stat().st_mtime_ns == finished
    whole = cli("fit", "mf-mml", "--data", "events.csv", "--run", "whole", "--json", "split_seed=0", "seed=1", *changes)
    row = next(row for row in json.loads(result.out)["runs"] if row["seed"] == 1)
    assert row["NDCG@5"] == pytest.approx(json.loads(whole.out)["NDCG@5"], rel=1e-12)
    assert [row["epoch"] for row in map(json.loads, history.read_text().splitlines())] == list(range(1, 31))
