"""``multimargin reproduce`` as a user types it: the list, a quick table, a kill half way, and bad input."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("multimargin")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_list(cli):
    listed = cli("reproduce", "--list")
    assert listed.code == 0
    assert {line.split()[0] for line in listed.out.splitlines()} >= {"mml-negatives", "mml-grid", "gowalla-best"}
    assert cli("reproduce").out == listed.out
    cells = cli("reproduce", "mml-negatives", "--list", "--only", "gowalla-mf-ccl-800,mml-10").out.splitlines()
    assert cells[0].startswith("gowalla-mf-ccl-800  0.1837 / 0.1493 (paper): log of reczoo/RecZoo")
    assert cells[1] == "gowalla-mf-mml-10  no published number"


def test_killed_half_way_and_started_again_it_loses_nothing(cli, tmp_path):
    arguments = ["reproduce", "mml-negatives", "--budget", "quick", "--only", "mml", "--protocol", "paper", "-o", "to"]
    arguments += ["--jobs", "1"]
    process = subprocess.Popen([COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    table, deadline = tmp_path / "to" / "mml-negatives-quick" / "results.json", time.monotonic() + 240
    while not table.exists():  # written as soon as the first run has ended
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    first = tmp_path / "to" / "runs" / "quick" / "paper" / "gowalla-mf-mml-10" / "seed-0" / "info.json"
    finished = first.stat().st_mtime_ns
    result = cli(*arguments, "--json")
    assert result.code == 0, result.err
    assert "gowalla-mf-mml-10/seed-0, done before" in result.err
    assert first.stat().st_mtime_ns == finished
    found = json.loads(result.out)
    assert {row["cell"] for row in found["results"]} == {"gowalla-mf-mml-10", "gowalla-mf-mml-50"}
    assert {row["protocol"] for row in found["results"]} == {"paper"}
    again = cli(*arguments)
    assert again.code == 0
    assert again.err.count("done before") == 2
    assert again.out.splitlines()[-1] == "Tables: to/mml-negatives-quick"
    assert "Recall@20 (paper)" in again.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mml-negative"], "Did you mean 'mml-negatives'?"),
        (["mml-negatives", "--protocol", "papers"], "--protocol must be one of honest, paper, both"),
        (["mml-negatives", "--jobs", "0"], "--jobs must be 1 or more"),
        (["mml-negatives", "--only", "mmll"], "only must fit a cell of the table"),
        (["mml-negative", "--list"], "Did you mean 'mml-negatives'?"),
    ],
)
def test_bad_input_is_one_line(cli, arguments, message):
    result = cli("reproduce", *arguments)
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not Path("reproductions").exists()
