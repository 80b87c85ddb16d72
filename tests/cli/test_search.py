"""``multimargin search`` as a user types it: table, files, a kill half way, and bad input."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy import TINY, write_events

COMMAND = Path(sys.executable).with_name("multimargin")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_events(tmp_path / "events.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_killed_half_way_and_started_again_it_loses_nothing(cli, folder):
    changes = ["engine=steps", "stopping=null", *(each for each in TINY if not each.startswith("epochs")), "epochs=30"]
    arguments = ["search", "mf-ccl", "--data", "events.csv", "--trials", "2", *changes]
    process = subprocess.Popen([COMMAND, *arguments, "-o", "killed"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    trials = folder / "killed" / "mf-ccl" / "trials"
    history, deadline = trials / "0001" / "metrics.jsonl", time.monotonic() + 240
    while not (history.exists() and len(history.read_text().splitlines()) > 2):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    first = (trials / "0000.json").read_bytes()
    assert json.loads((trials / "0001.json").read_text())["state"] == "running"
    result = cli(*arguments, "-o", "killed")
    assert result.code == 0, result.err
    assert "0000" not in result.err
    assert (trials / "0000.json").read_bytes() == first
    second = json.loads((trials / "0001.json").read_text())
    assert (second["state"], [epoch for epoch, _ in second["curve"]]) == ("done", list(range(1, 31)))
    assert "# Search on events.csv" in result.out
    assert "multimargin fit killed/mf-ccl-tuned.yaml" in result.out
    assert {path.name for path in (folder / "killed").iterdir()} == {
        "mf-ccl", "mf-ccl-tuned.yaml", "results.json", "results.md", "search.json", "trials.csv",
    }  # fmt: skip
    # the trial on its own, never interrupted, says the same
    given = [f"{key}={json.dumps(value)}" for key, value in second["values"].items()]
    alone = cli("fit", "mf-ccl", "--data", "events.csv", "--run", "alone", "split_seed=0", *changes, *given)
    assert alone.code == 0, alone.err
    rows = map(json.loads, (folder / "alone" / "metrics.jsonl").read_text().splitlines())
    assert [row["NDCG@5"] for row in rows] == [reached for _, reached in second["curve"]]
    # nothing runs again where all is done
    again = cli(*arguments, "-o", "killed", "--json")
    assert again.err == ""
    assert json.loads(again.out)["summary"][0]["trials"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "paper"], "protocol must be honest in a search; got 'paper'"),
        (["protocol=paper"], "protocol must be honest in a search; got 'paper'"),
        (["--range", "learning_rate"], "--range must read KEY=LOW:HIGH"),
        (["--jobs", "0"], "--jobs must be 1 or more"),
        (["--trials", "none"], "--trials"),
    ],
)
def test_bad_input_is_one_line(cli, folder, arguments, message):
    result = cli("search", "mf-ccl", "--data", "events.csv", *arguments)
    assert result.code == 2
    assert result.out == ""
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (folder / "searches").exists()
