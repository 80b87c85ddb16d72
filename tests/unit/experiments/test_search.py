"""Searches: what is varied, how trials follow one another, what a kill loses, and that test data is never looked at."""

import json
import math
import re
import statistics

import pytest
from toy import TINY, write_events

import multimargin as mm
from multimargin.experiments import search as module
from multimargin.experiments.methods import settle_methods
from multimargin.experiments.runs import Outcome
from multimargin.experiments.search import search
from multimargin.experiments.space import Space, read_asked
from multimargin.experiments.study import Study
from multimargin.recipes import fit as fitting
from multimargin.recipes.fit import fit_recipe
from multimargin.recipes.recipe import Recipe
from multimargin.recipes.run import Run

EPOCHS = 8
LONG = [*(each for each in TINY if not each.startswith("epochs")), f"epochs={EPOCHS}"]


class Killed(BaseException):
    """What ends a process at once."""


@pytest.fixture
def events(tmp_path):
    return write_events(tmp_path / "events.csv")


def quality(recipe, epoch):
    """A curve that rises to a height known for each setting: best at a learning rate of 3e-3 and a margin of 0.4."""
    far = abs(math.log10(recipe.values["learning_rate"] / 3e-3)) + abs(recipe.values["loss"].get("margin", 0.4) - 0.4)
    return (1 - math.exp(-epoch / 2)) / (1 + far)


@pytest.fixture
def simulate(monkeypatch):
    """Return a function that puts curves in the place of trainings, and may kill the process after so many rows."""

    def chosen(curve=quality, *, killed_after=math.inf, fails=lambda recipe: False):
        written = 0

        def run_all(jobs, folder, *, watch, after, **_):
            nonlocal written
            for job in jobs:
                assert not job.test
                run, rows, ended = Run(folder / job.name), [], "done"
                run.path.mkdir(parents=True, exist_ok=True)
                for epoch in range(1, EPOCHS + 1):
                    row = {
                        "epoch": epoch,
                        "train_seconds": 1.0,
                        "eval_seconds": 0.5,
                        "NDCG@5": curve(job.recipe, epoch),
                    }
                    rows.append(row)
                    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
                    written += 1
                    if written > killed_after:
                        raise Killed
                    if not watch(job, row):
                        ended = "stopped"
                        break
                ended = "failed" if fails(job.recipe) else ended
                after(Outcome(job, run, ended, "it burst" if ended == "failed" else None))

        monkeypatch.setattr(module, "run_all", run_all)

    return chosen


def in_this_process(jobs, folder, *, watch, after, **_):
    """Stand in for ``run_all``: real trainings, without processes of their own."""
    for job in jobs:
        run = Run(folder / job.name)
        fitted = fit_recipe(job.recipe, run=run.path, resume=run.exists(), test=job.test, progress=False)
        for row in fitted.training.history:
            watch(job, row)
        after(Outcome(job, run, "done"))


class TestWhatIsVaried:
    def space(self, name, *changes, asked=(), fixed=()):
        return Space.of(Recipe.load(name, changes), dict(read_asked(each) for each in asked), set(fixed))

    def test_what_classes_declare(self):
        assert set(self.space("mf-ccl").ranges) == {
            "learning_rate",
            "loss.margin",
            "loss.neg_weight",
            "weight_decay",
        } - ({"weight_decay"} if Recipe.load("mf-ccl").values["weight_decay"] == 0 else set())
        found = self.space("mf-mml", "negatives=popularity")
        assert {"loss.margins", "loss.margin_weights", "negatives.beta"} <= set(found.ranges)
        assert "n_negatives" not in found.ranges
        assert set(self.space("gowalla-ease").ranges) == {"encoder.regularization"}

    def test_what_is_switched_off_or_given_stays(self):
        assert "weight_decay" not in self.space("mf-ccl", "weight_decay=0").ranges
        assert "weight_decay" in self.space("mf-ccl", "weight_decay=1e-6").ranges
        assert "loss.margin" not in self.space("mf-ccl", fixed=["loss.margin"]).ranges
        assert "weight_decay" in self.space("mf-ccl", "weight_decay=0", asked=["weight_decay=1e-8:1e-4:log"]).ranges

    def test_the_first_trial_is_the_recipe_to_the_last_digit(self):
        space = self.space("gowalla-mf-mml-100", "learning_rate=0.00123456789")
        assert space.start().keys() == space.parts().keys()
        assert space.changed(space.first_values(space.start())).values == space.recipe.values

    @pytest.mark.parametrize(
        ("text", "low", "high"),
        [
            ("learning_rate=1e-4:1e-2:log", 1e-4, 1e-2),
            ("n_negatives=10:100", 10, 100),
            ("loss.neg_weight=1:10", 1.0, 10.0),
            ("n_negatives=10,50,100", 10, 100),
            ("batch_size=64,1024", 64, 1024),
            ("negatives.exclude_seen=true,false", True, False),
        ],
    )
    def test_what_is_asked_for(self, text, low, high):
        space = self.space("mf-ccl", asked=[text])
        key = text.partition("=")[0]
        found = space.ends(key)
        assert (found[0], found[-1]) == (low, high)
        assert type(found[0]) is type(low)
        assert space.ranges[key] != Recipe.load("mf-ccl").ranges().get(key)

    def test_what_the_data_sets_stays_unless_asked_for(self):
        auto = "loss.neg_weight=auto"
        assert "loss.neg_weight" not in self.space("mf-mml", auto).ranges
        asked = self.space("mf-mml", auto, asked=["loss.neg_weight=1:3000:log"])
        assert asked.ends("loss.neg_weight") == [1.0, 3000.0]
        assert type(asked.ends("loss.neg_weight")[0]) is float
        assert "loss.neg_weight" not in asked.start()

    def test_margins_that_are_asked_for_increase(self):
        space = self.space("mf-mml", asked=["loss.margins=0.2:0.6"])
        drawn = {name: part.high for name, part in space.parts().items()}
        margins = space.values(drawn)["loss.margins"]
        assert margins == sorted(set(margins))
        assert 0.2 <= margins[0] < margins[-1] < 0.6
        lists = self.space("mf-mml", asked=["loss.margins=[.5,.6,.7],[.7,.8,.9]"])
        assert lists.values({**lists.start(), "loss.margins": 0})["loss.margins"] == [0.5, 0.6, 0.7]


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"overrides": ["protocol=paper"]}, "protocol must be honest in a search; got 'paper'"),
            ({"overrides": ["split.valid=0.0", "stopping=null"]}, "split must set validation data aside to search on"),
            ({"recipes": []}, "recipes must hold at least one"),
            ({"recipes": ["mf-mml", "mf-mml"]}, "got 'mf-mml' twice"),
            ({"recipes": ["gowalla-popularity"], "overrides": ["split=random-per-user"]}, "something to search"),
            ({"trials": 0}, "trials must be 1 or more; got 0"),
            ({"at_once": 0}, "at_once must be 1 or more"),
            ({"data": "nowhere.csv"}, "nowhere.csv"),
            ({"metric": "Recall@7"}, "metric must be one of"),
            ({"ranges": ["learning_rate"]}, "--range must read KEY=LOW:HIGH"),
            ({"ranges": ["epochs=1:9"]}, "--range must not vary epochs"),
            ({"ranges": ["split.valid=.1:.2"]}, "--range must not vary split.valid"),
            ({"ranges": ["learning_rat=1:2"]}, "Did you mean 'learning_rate'?"),
            ({"ranges": ["loss.margin=0:1"]}, "Did you mean 'loss.margins'?"),
            ({"ranges": ["stopping.patience=2:4"], "overrides": ["stopping=null"]}, "none does"),
            ({"ranges": ["learning_rate=1:2:lag"]}, "must read LOW:HIGH, LOW:HIGH:log or a,b,c"),
            ({"ranges": ["learning_rate=2:1"]}, "high must be above low"),
            ({"ranges": ["learning_rate=0:1:log"]}, "low must be above 0"),
            ({"ranges": ["learning_rate=low:high"]}, "low must be a finite number"),
            ({"ranges": ["learning_rate=.1"]}, "values must be two or more"),
            ({"ranges": ["learning_rate=-1:1"]}, "learning_rate must be above 0; got -1"),
            ({"ranges": ["n_negatives=1:9.5"]}, "n_negatives must be a whole number"),
            ({"ranges": ["loss.margin_weights=0:1"]}, "must name lists"),
            ({"ranges": ["negatives=uniform,unifrm"]}, "unifrm"),
        ],
        ids=lambda value: str(value)[:50],
    )
    def test_before_anything_runs(self, tmp_path, events, monkeypatch, arguments, message):
        monkeypatch.setattr(module, "run_all", lambda *_, **__: pytest.fail("something ran"))
        given = {"recipes": ["mf-mml"], "data": events, "folder": tmp_path / "new", **arguments}
        with pytest.raises(mm.errors.MultiMarginError, match=re.escape(message)):
            search(given.pop("recipes"), **given)
        assert not (tmp_path / "new").exists()

    def test_budgets_that_differ(self, tmp_path, events):
        (tmp_path / "mine.yaml").write_text("epochs: 7\n")
        with pytest.raises(mm.RecipeError, match=r"epochs must be the same for all.*Give epochs=VALUE"):
            search(["mf-mml", tmp_path / "mine.yaml"], data=events, folder=tmp_path / "new")

    def test_without_optuna(self, tmp_path, events, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "optuna", None)
        with pytest.raises(mm.ArgumentError, match=re.escape("pip install 'multimargin[search]'")):
            search(["mf-mml"], data=events, folder=tmp_path / "new")

    def test_folders_of_something_else(self, tmp_path, events, simulate):
        simulate()
        common = {"data": events, "trials": 1, "folder": tmp_path / "new"}
        search(["mf-ccl"], **common, overrides=LONG)
        with pytest.raises(mm.CheckpointError, match="its epochs is 8 and not 9"):
            search(["mf-ccl"], **common, overrides=[*LONG[:-1], "epochs=9"])
        with pytest.raises(mm.CheckpointError, match="its learning_rate is"):
            search(["mf-ccl"], **common, overrides=[*LONG, "learning_rate=.5"])
        with pytest.raises(mm.CheckpointError, match="its ranges is"):
            search(["mf-ccl"], **common, overrides=LONG, ranges=["loss.margin=0:.5"])
        with pytest.raises(mm.CheckpointError, match="holds other files"):
            search(["mf-ccl"], **{**common, "folder": tmp_path}, overrides=LONG)

    def test_a_recipe_that_fails_as_it_is(self, tmp_path, events, simulate):
        simulate(fails=lambda recipe: True)
        with pytest.raises(mm.CheckpointError, match=r"mf-ccl/trials/0000 must finish.*it burst"):
            search(["mf-ccl"], data=events, overrides=LONG, folder=tmp_path / "new")


class TestTrials:
    def test_they_come_near_the_best_and_poor_ones_are_given_up(self, tmp_path, events, simulate):
        simulate()
        asked = ["loss.margin=0:1", "learning_rate=1e-4:1e-1:log"]
        found = search(
            ["mf-ccl"], data=events, trials=40, overrides=[*LONG, "loss.neg_weight=150.0"], ranges=asked,
            folder=tmp_path / "new",
        )  # fmt: skip
        records = found.studies["mf-ccl"].records
        assert [each["trial"] for each in records] == list(range(40))
        assert records[0]["values"]["learning_rate"] == Recipe.load("mf-ccl").values["learning_rate"]
        best = found.best["mf-ccl"].values
        assert best["learning_rate"] == pytest.approx(3e-3, rel=0.5)
        assert best["loss"]["margin"] == pytest.approx(0.4, abs=0.15)
        row = found.summary.to_dicts()[0]
        assert row["untuned"] == records[0]["reached"] < row["reached"] == max(each["reached"] for each in records)
        assert row["epochs"] == sum(len(each["curve"]) for each in records)
        assert row["seconds"] == 1.5 * row["epochs"]
        assert 5 < row["pruned"] < 35
        # given up exactly where the median of the finished ones before lies above all epochs so far
        for record in records:
            finished = [dict(each["curve"]) for each in records[: record["trial"]] if each["state"] == "done"]
            poor = [
                epoch
                for epoch, _ in record["curve"]
                if len(finished) >= 4
                and 2 <= epoch < EPOCHS
                and max(each for when, each in record["curve"] if when <= epoch)
                < statistics.median(curve[epoch] for curve in finished)
            ]
            assert (record["state"] == "pruned") == bool(poor), record
            assert not poor or [record["curve"][-1][0]] == poor

    @pytest.mark.parametrize("killed_after", [0, 3, 8, 40, 77])
    def test_killed_and_started_again_it_is_as_if_nothing_had_happened(self, tmp_path, events, simulate, killed_after):
        def run(folder):
            return search(["mf-ccl", "mf-mml"], data=events, trials=12, overrides=LONG, folder=tmp_path / folder)

        simulate()
        whole = run("whole")
        simulate(killed_after=killed_after)
        with pytest.raises(Killed):
            run("killed")
        kept = {path.name: path.stat().st_mtime_ns for path in self.ended(tmp_path / "killed")}
        simulate()
        again = run("killed")
        for name, study in whole.studies.items():
            assert again.studies[name].records == study.records
        assert kept.items() <= {path.name: path.stat().st_mtime_ns for path in self.ended(tmp_path / "killed")}.items()
        assert again.best["mf-ccl"].values == whole.best["mf-ccl"].values

    def ended(self, folder):
        files = folder.glob("mf-ccl/trials/*.json")
        return [path for path in files if json.loads(path.read_text())["state"] != "running"]

    def test_more_trials_and_more_recipes_later(self, tmp_path, events, simulate):
        simulate()
        common = {"data": events, "overrides": LONG, "folder": tmp_path / "new"}
        first = search(["mf-ccl"], trials=3, **common)
        more = search(["mf-ccl", "mf-mml"], trials=5, **common)
        assert more.studies["mf-ccl"].records[:3] == first.studies["mf-ccl"].records
        assert [len(each.records) for each in more.studies.values()] == [5, 5]
        assert more.trials.height == 10
        fewer = search(["mf-ccl"], trials=2, **common)
        assert fewer.studies["mf-ccl"].records == first.studies["mf-ccl"].records[:2]

    def test_the_seed_decides_and_nothing_else(self, tmp_path, events, simulate):
        simulate()
        found = [
            search(["mf-ccl"], data=events, trials=4, overrides=[*LONG, f"seed={seed}"], folder=tmp_path / name)
            for name, seed in (("a", 0), ("b", 0), ("c", 1))
        ]
        drawn = [[each["drawn"] for each in one.studies["mf-ccl"].records] for one in found]
        assert drawn[0] == drawn[1]
        assert drawn[0][0] == drawn[2][0]
        assert drawn[0][1] != drawn[2][1]

    def test_one_that_fails_is_told_and_passed_over(self, tmp_path, events, simulate):
        simulate(fails=lambda recipe: recipe.values["learning_rate"] > 2e-3)
        found = search(["mf-ccl"], data=events, trials=10, overrides=LONG, folder=tmp_path / "new")
        row = found.summary.to_dicts()[0]
        assert row["failed"] > 0
        assert found.best["mf-ccl"].values["learning_rate"] <= 2e-3
        assert f"10 ({row['failed']} failed)" in str(found)

    def test_the_first_is_the_recipe_and_a_study_waits_for_it(self, tmp_path, events):
        changes = [*LONG, "learning_rate=0.00123456789"]
        (method,) = settle_methods(["mf-ccl"], events, "honest", None, changes, {})
        study = Study(Space.of(method.recipe, {}, ()), tmp_path / "mf-ccl", 2)
        study.load()
        job = study.next_job()
        assert (job.name, job.test) == ("mf-ccl/trials/0000", False)
        assert job.recipe.values == method.recipe.values
        assert study.next_job() is None
        assert not study.is_done

    def test_epochs_that_nobody_handed_on_count_and_end_where_one_was_given_up(self, tmp_path, events, simulate):
        simulate()
        whole = search(["mf-ccl"], data=events, trials=12, overrides=LONG, folder=tmp_path / "new").studies["mf-ccl"]
        pruned = next(each["trial"] for each in whole.records if each["state"] == "pruned")
        file = tmp_path / "new" / "mf-ccl" / "trials" / f"{pruned:04d}.json"
        record = json.loads(file.read_text())
        run = Run(file.with_suffix(""))
        rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
        late = [{**rows[-1], "epoch": epoch, "NDCG@5": 1.0} for epoch in range(len(rows) + 1, EPOCHS + 1)]
        (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *late]))
        for number in range(pruned, 12):  # killed after the run had ended, before it was recorded
            file.with_name(f"{number:04d}.json").unlink()
        file.write_text(json.dumps({key: record[key] for key in ("trial", "values", "drawn")} | {"state": "running"}))
        study = Study(whole.space, whole.folder, 12)
        study.load()
        job = study.next_job()
        study.ended(Outcome(job, run, "skipped"))
        assert study.records[-1] == record


class TestTestData:
    @pytest.fixture
    def parts(self, tmp_path):
        def made(name, seed):
            folder = tmp_path / name
            folder.mkdir()
            for number, part in ((1, "train"), (2, "valid"), (seed, "test")):
                write_events(folder / f"{part}.csv", seed=number)
            return folder

        return made

    def test_is_never_looked_at(self, tmp_path, parts, monkeypatch):
        monkeypatch.setattr(module, "run_all", in_this_process)
        monkeypatch.setattr(fitting, "evaluate_parts", lambda *_, **__: pytest.fail("test data was measured"))
        found = [
            search(
                ["mf-ccl"],
                data=parts(name, seed),
                trials=3,
                overrides=[*TINY, "split=given"],
                folder=tmp_path / f"of-{name}",
            )
            for name, seed in (("one", 3), ("other", 4))
        ]
        reached = [[(each["drawn"], each["curve"]) for each in one.studies["mf-ccl"].records] for one in found]
        assert reached[0] == reached[1]
        left = {path.name for path in (tmp_path / "of-one").rglob("*") if path.is_file()}
        assert not left & {"evaluation.json", "per-user.parquet", "last.safetensors", "model.json"}

    def test_fit_takes_the_best_and_reaches_what_the_trial_did(self, tmp_path, events, monkeypatch):
        monkeypatch.setattr(module, "run_all", in_this_process)
        found = search(["mf-ccl"], data=events, trials=3, overrides=TINY, folder=tmp_path / "new")
        row = found.summary.to_dicts()[0]
        fitted = fit_recipe(Recipe.load(row["file"]), run=tmp_path / "run", progress=False)
        assert fitted.training.best_value == row["reached"]
        assert fitted.training.best_epoch == row["epoch"]
        assert fitted.evaluation is not None
        assert found.best["mf-ccl"].name == "mf-ccl-tuned"
