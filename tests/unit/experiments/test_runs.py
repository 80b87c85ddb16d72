"""A queue of runs: each in its folder, skipped when done, resumed when not, and none left behind."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from toy import TINY, write_events

from multimargin.errors import ArgumentError, CheckpointError
from multimargin.experiments import runs
from multimargin.experiments.runs import Job, is_done, run_all
from multimargin.recipes.fit import fit_recipe, with_data
from multimargin.recipes.recipe import Recipe


def recipe(tmp_path, *changes):
    events = tmp_path / "events.csv"
    if not events.exists():
        write_events(events)
    return with_data(Recipe.load("mf-mml", [*TINY, *changes]), events)


class TestRunAll:
    def test_runs_are_what_fit_makes_and_are_done_once(self, tmp_path):
        jobs = [Job("a/seed-1", recipe(tmp_path, "seed=1"), analyse=True), Job("b", recipe(tmp_path, "seed=2"))]
        told = []
        outcomes = run_all(jobs, tmp_path / "queue", at_once=2, threads=2, after=told.append, progress=False)
        assert sorted(each.job.name for each in outcomes) == ["a/seed-1", "b"]
        assert [each.ended for each in outcomes] == ["done", "done"]
        assert told == outcomes
        alone = fit_recipe(jobs[0].recipe, run=tmp_path / "alone", progress=False)
        run = next(each.run for each in outcomes if each.job.name == "a/seed-1")
        assert run.evaluation() == alone.run.evaluation()
        assert run.info()["threads"] == 1
        assert set(json.loads((run.path / "analysis.json").read_text())) == {"k", "scores", "popularity"}
        assert not (tmp_path / "queue" / "b" / "analysis.json").exists()
        assert not list((tmp_path / "queue").rglob("*.log"))
        before = (run.path / "info.json").stat().st_mtime_ns
        again = run_all(iter(jobs), tmp_path / "queue", progress=False)
        assert [each.ended for each in again] == ["skipped", "skipped"]
        assert (run.path / "info.json").stat().st_mtime_ns == before
        # what is missing of a finished run is made from its model
        (run.path / "analysis.json").rename(tmp_path / "first.json")
        assert [each.ended for each in run_all(jobs[:1], tmp_path / "queue", progress=False)] == ["done"]
        assert (run.path / "info.json").stat().st_mtime_ns == before
        assert (run.path / "analysis.json").read_bytes() == (tmp_path / "first.json").read_bytes()

    def test_one_that_fails_says_why_and_stops_nobody(self, tmp_path):
        bad = recipe(tmp_path, "learning_rate=1e30", "clip_norm=null")
        jobs = [Job("bad", bad), Job("good", recipe(tmp_path))]
        ended = {each.job.name: each for each in run_all(jobs, tmp_path / "queue", progress=False)}
        assert ended["bad"].ended == "failed"
        assert "Training has diverged" in ended["bad"].problem
        assert ended["good"].ended == "done"

    def test_stopped_by_whoever_watches_and_resumed(self, tmp_path):
        long = recipe(tmp_path, "epochs=100000", "stopping=null")
        rows = []

        def watch(job, row):
            rows.append((job.name, row["epoch"]))
            return row["epoch"] < 3

        outcomes = run_all([Job("long", long)], tmp_path / "queue", watch=watch, progress=False)
        assert [each.ended for each in outcomes] == ["stopped"]
        assert rows[:3] == [("long", 1), ("long", 2), ("long", 3)]
        assert not is_done(Job("long", long), tmp_path / "queue")
        seen = len(outcomes[0].run.history())
        more = []
        run_all(
            [Job("long", long)],
            tmp_path / "queue",
            watch=lambda _, row: more.append(row["epoch"]) or row["epoch"] < seen + 5,
            progress=False,
        )
        assert more == list(range(1, len(more) + 1))

    def test_jobs_may_be_decided_on_the_way(self, tmp_path):
        known = []

        def ask():
            yield Job("first", recipe(tmp_path))
            yield Job("second", recipe(tmp_path, f"seed={len(known)}"))

        outcomes = run_all(ask(), tmp_path / "queue", after=known.append, progress=False)
        assert outcomes[1].job.recipe.values["seed"] == 1

    def test_a_folder_of_another_recipe_is_refused(self, tmp_path):
        fit_recipe(recipe(tmp_path), run=tmp_path / "queue" / "a", progress=False)
        with pytest.raises(CheckpointError, match="its seed differs"):
            run_all([Job("a", recipe(tmp_path, "seed=9"))], tmp_path / "queue", progress=False)

    def test_a_folder_in_use_is_waited_for_and_then_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(runs, "_PATIENCE", 0.3)
        with runs._held(tmp_path), pytest.raises(CheckpointError, match="must not be in use"):
            run_all([], tmp_path, progress=False)

    def test_none_at_once_is_refused(self, tmp_path):
        with pytest.raises(ArgumentError, match="at_once must be 1 or more"):
            run_all([], tmp_path, at_once=0)


PROGRAM = """
import sys
from multimargin.experiments.runs import Job, run_all
from multimargin.recipes.recipe import Recipe
run_all([Job("a", Recipe.load(sys.argv[1]))], sys.argv[2], progress=False)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_half_way_and_started_again_it_ends_with_the_same_numbers(tmp_path, how):
    made = recipe(tmp_path, "epochs=40", "stopping=null", "engine=steps")
    (tmp_path / "mine.yaml").write_text(made.to_yaml())
    queue = tmp_path / "queue"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "mine.yaml"), str(queue)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    history = queue / "a" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (history.exists() and len(history.read_text().splitlines()) > 3):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, how)
    process.wait(60)
    job = Job("a", Recipe.load(tmp_path / "mine.yaml"))
    # its worker ends although nobody told it to, half way, and frees the folder
    with runs._held(queue):
        assert 3 < len(history.read_text().splitlines()) < 40
        assert not is_done(job, queue)
    (outcome,) = run_all([job], queue, progress=False)
    assert outcome.ended == "done"
    whole = fit_recipe(job.recipe, run=tmp_path / "whole", progress=False)
    assert outcome.run.evaluation() == whole.run.evaluation()
    assert [row["loss"] for row in outcome.run.history()] == [row["loss"] for row in whole.run.history()]
