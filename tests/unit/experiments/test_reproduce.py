"""Reproductions: published numbers, cells and what they are made of, budgets, and every table that is told."""

import csv
import json
import re

import numpy as np
import polars as pl
import pytest

import multimargin as mm
from multimargin.data.catalogue import CATALOGUE
from multimargin.experiments import budgets
from multimargin.experiments import reproduce as module
from multimargin.experiments.cells import GRID_LOSSES, GRID_NEGATIVES, choose, make_cell, tables
from multimargin.experiments.published import COLUMNS, FILE, METRICS, published
from multimargin.experiments.reproduce import reproduce
from multimargin.experiments.runs import Outcome, is_done
from multimargin.experiments.significance import paired_t
from multimargin.recipes.fit import fit_recipe
from multimargin.recipes.recipe import FOLDER, PROTOCOLS, Recipe, recipe_names
from multimargin.recipes.run import Run


def run_here(jobs, folder, *, after=None, **_):
    """What ``run_all`` does, in this process."""
    for job in jobs:
        ended = "skipped" if is_done(job, folder) else "done"
        if ended == "done":
            fit_recipe(job.recipe, run=folder / job.name, progress=False)
        after(Outcome(job, Run(folder / job.name), ended))


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(module, "run_all", run_here)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """MML and CCL at N = 10, in both protocols, with two seeds; told by the command that is given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run_all", run_here)
        folder = tmp_path_factory.mktemp("reproduced")
        return reproduce(
            "mml-negatives", only=["*-10"], budget="quick", seeds=2, folder=folder, command="multimargin reproduce X"
        )


class TestPublished:
    def test_columns_and_values(self):
        with FILE.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert tuple(rows[0]) == COLUMNS
        assert len({(row["cell"], row["source"]) for row in rows}) == len(rows)
        for row in rows:
            assert row["cell"] in recipe_names()
            assert row["protocol"] in PROTOCOLS
            assert len(row["source"]) > 10
            values = [float(row[name]) for name in METRICS if row[name]]
            assert all(0.01 < value < 0.5 for value in values)
            assert float(row["NDCG@20"]) < float(row["Recall@20"])
            assert all(re.fullmatch(r"0\.\d{4}", row[name]) for name in METRICS if row[name])

    @pytest.mark.parametrize("name", sorted(published()))
    def test_they_are_what_the_recipe_says(self, name):
        text = (FOLDER / f"{name}.yaml").read_text()
        said = re.search(r"(\.\d{4}),? (?:/|NDCG@20)\s+#?\s*(\.\d{4})", text.replace("\n# ", " "))
        if said is not None:
            first = published()[name][0].metrics
            assert (first["Recall@20"], first["NDCG@20"]) == tuple(map(float, said.groups()))

    def test_most_recipes_say_them(self):
        assert published()["gowalla-mf-bpr-1"][0].metrics["Recall@20"] == 0.1491  # its settings are freerec's
        assert len(published()["gowalla-mf-bpr-1"]) == 2


class TestCells:
    def test_the_grid_is_the_paper_s(self):
        known = tables()
        assert {name: len(table.cells) for name, table in known.items() if name.startswith("mml")} == {
            "mml-negatives": 2 * 2 * 6, "mml-losses": 2 * 8 * 6, "mml-encoders": 2 * 3 * 8, "mml-grid": 2 * 3 * 8 * 6,
        }  # fmt: skip
        grid = set(known["mml-grid"].cells)
        for name in ("mml-negatives", "mml-losses", "mml-encoders"):
            assert set(known[name].cells) < grid
        for table in known.values():
            assert len(set(table.cells)) == len(table.cells)
        assert set(known["gowalla-best"].cells) | set(known["yelp2018-best"].cells) == set(published())

    @pytest.mark.parametrize("name", tables()["mml-encoders"].cells)
    def test_each_kind_builds_and_says_what_it_is(self, name):
        cell = make_cell(name)
        cell.recipe.build()
        assert f"{cell.data}-{cell.encoder}-{cell.loss}-{cell.n_negatives}" == name
        assert cell.recipe.values["encoder"]["name"] == cell.encoder
        assert cell.recipe.values["n_negatives"] == 100
        assert cell.recipe.values["negatives"] == {"name": "uniform", "exclude_seen": False}
        assert cell.recipe.values["encoder"]["similarity"] == "cosine"
        assert (cell.data, cell.recipe.values["data"]) == (cell.data, cell.data)
        assert len(cell.remark) > 20

    def test_what_ships_is_taken_as_it_is(self):
        for name in set(tables()["mml-grid"].cells) & set(recipe_names()):
            assert make_cell(name).recipe == Recipe.load(name)

    @pytest.mark.parametrize(
        ("name", "base", "changed"),
        [
            ("gowalla-mf-mml-50", "gowalla-mf-mml-100", {"n_negatives"}),
            ("yelp2018-mf-ccl-400", "yelp2018-mf-ccl-800", {"n_negatives"}),
            ("gowalla-simplex-ccl-10", "gowalla-simplex-ccl-2000", {"n_negatives"}),
            ("gowalla-mf-bsl-50", "gowalla-mf-bsl-800", {"n_negatives", "weight_decay"}),
            ("gowalla-mf-mse-100", "gowalla-mf-mml-100", {"loss"}),
            ("gowalla-mf-sigmoid-ce-100", "gowalla-mf-mml-100", {"loss", "weight_decay", "clip_norm"}),
            (
                "gowalla-simplex-mml-100", "gowalla-simplex-ccl-2000",
                {"loss", "n_negatives", "stopping", "schedule", "metric"},
            ),
            ("gowalla-lightgcn-mml-100", "gowalla-lightgcn-bsl", {"loss", "n_negatives", "negatives", "epochs"}),
            ("gowalla-lightgcn-bsl-100", "gowalla-lightgcn-bsl", {"n_negatives", "negatives", "epochs"}),
        ],
    )  # fmt: skip
    def test_what_is_changed_and_nothing_else(self, name, base, changed):
        cell = make_cell(name)
        assert set(cell.recipe.differences(Recipe.load(base))) == changed
        assert base in cell.remark

    def test_losses_are_those_of_their_own_recipes(self):
        for encoder in ("simplex", "lightgcn"):
            for data in ("gowalla", "yelp2018"):
                mml = make_cell(f"{data}-{encoder}-mml-400").recipe.values["loss"]
                assert mml == Recipe.load(f"{data}-mf-mml-100").values["loss"]
        assert make_cell("gowalla-simplex-ccl-400").recipe.values["loss"]["neg_weight"] == 250.0
        assert make_cell("gowalla-lightgcn-ccl-400").recipe.values["loss"]["neg_weight"] == 150.0

    @pytest.mark.parametrize(("data", "l2"), [("gowalla", 1e-9), ("yelp2018", 1e-3)])
    @pytest.mark.parametrize("n", GRID_NEGATIVES)
    def test_bsl_s_l2_counts_a_row_each_time_it_is_drawn(self, data, l2, n):
        times = max(1, 1024 * n / CATALOGUE[data].n_items)
        found = make_cell(f"{data}-mf-bsl-{n}").recipe.values["weight_decay"]
        assert found == pytest.approx(l2 / 1024 * times, rel=0.03)  # the recipes round

    def test_sums_over_negatives_are_sums(self):
        for loss in ("mse", "sigmoid-ce", "softmax-ce"):
            assert make_cell(f"gowalla-mf-{loss}-400").recipe.values["loss"]["neg_weight"] == 400.0
        assert make_cell("yelp2018-mf-sigmoid-ce-400").recipe.values["clip_norm"] == 10 / 512

    def test_patterns(self):
        names = tables()["mml-losses"].cells
        assert choose(names, []) == list(names)
        assert choose(names, ["mml-10"]) == ["gowalla-mf-mml-10", "yelp2018-mf-mml-10"]
        assert len(choose(names, ["gowalla"])) == len(names) // 2
        assert choose(names, ["yelp*-ccl-10", "gowalla-mf-mml-800"]) == ["gowalla-mf-mml-800", "yelp2018-mf-ccl-10"]
        with pytest.raises(mm.ArgumentError, match="Did you mean 'mml'"):
            choose(names, ["gowalla", "mmll"])


class TestBudgets:
    def test_full_is_the_recipe_but_for_what_all_share(self):
        cell = make_cell("gowalla-mf-ccl-800")
        recipe = budgets.within_budget(cell, "full", "honest", 3, "/data")
        assert set(recipe.differences(cell.recipe)) == {"protocol", "split_seed", "seed"}
        assert (recipe.values["seed"], recipe.values["data"]) == (2019 + 3, "/data")
        assert budgets.deviations(cell, recipe) == []

    def test_short_says_what_it_changes(self):
        cell = make_cell("gowalla-mf-ccl-800")
        recipe = budgets.within_budget(cell, "short", "paper", 0, "/data")
        assert budgets.deviations(cell, recipe) == [
            "learning_rate 0.0003 for 0.0001", "epochs 24 for 100", "evaluate_every 6 for 1",
            "stopping none for (patience 3)",
            "schedule none for (factor 0.1, patience 1, min_learning_rate 1e-06, restore_best true)",
            "decay cosine for none",
        ]  # fmt: skip
        bsl = budgets.within_budget(make_cell("gowalla-mf-bsl-10"), "short", "paper", 0, "/data")
        assert bsl.values["learning_rate"] == 1e-3

    def test_what_is_not_trained_has_no_epochs_to_save(self):
        cell = make_cell("gowalla-ease")
        for budget in budgets.BUDGETS:
            recipe = budgets.within_budget(cell, budget, "paper", 0, "/data")
            assert budgets.deviations(cell, recipe) == []
        assert (cell.encoder, cell.loss, cell.n_negatives) == ("ease", "-", "-")

    def test_quick_takes_two_of_a_kind_of_one_data_set(self):
        cells = [make_cell(name) for name in tables()["mml-negatives"].cells]
        names = [cell.name for cell in budgets.thinned(cells)]
        assert names == ["gowalla-mf-ccl-10", "gowalla-mf-ccl-50", "gowalla-mf-mml-10", "gowalla-mf-mml-50"]

    def test_made_up_data_is_a_split(self, tmp_path):
        made = mm.read_parts(budgets.make_data(tmp_path / "made"))
        assert made.train.n_users > 200
        assert len(made.test) == pytest.approx(len(made.train) / 4, rel=0.1)
        before = (tmp_path / "made" / "train.txt").stat().st_mtime_ns
        budgets.make_data(tmp_path / "made")
        assert (tmp_path / "made" / "train.txt").stat().st_mtime_ns == before


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"table": "mml-negative"}, "Did you mean 'mml-negatives'?"),
            ({"budget": "shorter"}, "budget must be one of full, short, quick"),
            ({"protocols": ["papers"]}, "protocol must be one of"),
            ({"protocols": []}, "protocols must hold at least one"),
            ({"only": ["nothing"]}, "only must fit a cell"),
            ({"seeds": 0}, "seeds must be 1 or more"),
            ({"data": "here"}, "data must be left out: budget quick makes its own"),
            ({"budget": "short", "data": "nowhere"}, "data must be a folder of gowalla or yelp2018"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_before_anything_runs(self, tmp_path, monkeypatch, arguments, message):
        monkeypatch.setattr(module, "run_all", lambda *_, **__: pytest.fail("something ran"))
        given = {"table": "mml-negatives", "budget": "quick", "folder": tmp_path, **arguments}
        with pytest.raises(mm.MultiMarginError, match=re.escape(message)):
            reproduce(given.pop("table"), **given)

    def test_other_data_in_the_same_folder(self, tmp_path, here):
        given = {"only": ["gowalla-mf-mml-10"], "protocols": ["paper"], "budget": "quick", "folder": tmp_path}
        reproduce("mml-negatives", **given)
        (tmp_path / "made-up-data" / "test.txt").write_text("0 1 2\n1 3 4\n")
        with pytest.raises(mm.CheckpointError, match="its data_hash is another"):
            reproduce("mml-negatives", **given)

    def test_data_sets_that_are_not_there_are_left_out(self, tmp_path, caplog):
        budgets.make_data(tmp_path / "both" / "gowalla")
        names = ["gowalla", "yelp2018"]
        assert module._places(tmp_path / "both", names) == {"gowalla": tmp_path / "both" / "gowalla"}
        assert module._places(tmp_path / "both" / "gowalla", names) == {"gowalla": tmp_path / "both" / "gowalla"}
        assert module._places(tmp_path / "both" / "gowalla", ["yelp2018"]) == {
            "yelp2018": tmp_path / "both" / "gowalla"
        }
        assert module._places(None, names) == {name: name for name in names}


class TestWhatIsTold:
    def test_the_means_of_the_runs(self, reproduced):
        assert len(reproduced.runs) == 2 * 2 * 2
        for row in reproduced.results.to_dicts():
            runs = [reproduced.runs[row["cell"], row["protocol"], seed] for seed in range(2)]
            assert row["mean"] == pytest.approx(np.mean([run.evaluation()[row["metric"]] for run in runs]), rel=1e-12)
            assert [run.evaluation()["protocol"] for run in runs] == [row["protocol"]] * 2
            assert row["low"] <= row["mean"] <= row["high"]
            assert (row["seeds"], row["budget"]) == (2, "quick")

    def test_gains_are_differences_of_means(self, reproduced):
        rows = reproduced.gains.to_dicts()
        assert [(row["other"], row["n_negatives"], row["protocol"]) for row in rows] == [
            ("ccl", 10, protocol) for protocol in ("honest", "paper")
        ]
        for row in rows:
            n, protocol = row["n_negatives"], row["protocol"]
            per_user = {
                loss: np.mean(
                    [
                        reproduced.runs[f"gowalla-mf-{loss}-{n}", protocol, seed].per_user()["Recall@20"].to_numpy()
                        for seed in range(2)
                    ],
                    axis=0,
                )
                for loss in ("mml", "ccl")
            }
            difference = per_user["mml"] - per_user["ccl"]
            assert row["difference"] == pytest.approx(difference.mean(), rel=1e-9)
            assert row["percent"] == pytest.approx(100 * difference.mean() / per_user["ccl"].mean(), rel=1e-9)
            assert row["p"] >= paired_t(difference) - 1e-12  # corrected, and over seeds as well

    def test_every_output_says_protocol_budget_and_departures(self, reproduced):
        text = (reproduced.folder / "results.md").read_text()
        assert text == str(reproduced) + "\n"
        assert "protocol honest and paper, budget quick" in text.splitlines()[0]
        sections = re.split(r"\n## ", text)[1:]
        tables_told = [each for each in sections if "|" in each]
        assert len(tables_told) == 4
        for section, protocol in zip(tables_told, ("honest", "honest", "paper", "paper"), strict=True):
            assert f"{protocol} protocol, budget quick" in section.splitlines()[0]
            assert f"({protocol})" in section.splitlines()[2]
            assert f"Protocol **{protocol}**" in section
            assert "Budget **quick**" in section
            assert "epochs 2 for 100" in section
        assert "MML's own tables are not among the sources" in text
        assert text.rstrip().endswith("```\nmultimargin reproduce X\n```")

        results = pl.read_csv(reproduced.folder / "results.csv", schema_overrides={"source": pl.String})
        assert set(results["protocol"]) == set(PROTOCOLS)
        assert set(results["budget"]) == {"quick"}
        assert set(pl.read_csv(reproduced.folder / "gains.csv")["protocol"]) == set(PROTOCOLS)
        found = json.loads((reproduced.folder / "results.json").read_text())
        assert found["budget"] == "quick"
        assert {row["protocol"] for row in found["results"] + found["gains"]} == set(PROTOCOLS)
        assert any("made up" in note for note in found["notes"])
        assert found["cells"]["gowalla-mf-mml-10"]["differs"]
        assert found["command"] == "multimargin reproduce X"

    def test_published_numbers_are_joined_and_subtracted(self, tmp_path, here, monkeypatch):
        given = {"only": ["gowalla-mf-ccl-800"], "budget": "quick", "folder": tmp_path}
        plain = reproduce("mml-negatives", **given)
        assert plain.results["published"].drop_nulls().unique().sort().to_list() == [0.1493, 0.1816, 0.1837, 0.2871]
        assert plain.results["difference"].null_count() == len(plain.results)  # made-up data
        about = module._about
        monkeypatch.setattr(module, "_about", lambda *each: about(*each) | {"published_split": True})
        again = reproduce("mml-negatives", **given)
        for row in again.results.to_dicts():
            theirs = published()["gowalla-mf-ccl-800"][0].metrics.get(row["metric"])
            if theirs is None:
                assert row["published"] is row["difference"] is None
            else:
                assert row["difference"] == pytest.approx(row["mean"] - theirs)
                assert row["published_protocol"] == "paper"
                assert "RecZoo" in row["source"]
        assert "gowalla-mf-ccl-800: Recall@20 0.1837, NDCG@20 0.1493" in str(again)
        assert re.search(r"\| gowalla-mf-ccl-800 \| +0\.\d{4} \| +0\.1837 \| +[-+]0\.\d{4} \|", str(again))

    def test_only_the_published_split_is_compared_with(self, tmp_path):
        cell = make_cell("gowalla-mf-mml-10")
        made = budgets.make_data(tmp_path)
        recipes = {(cell.name, "paper", 0): budgets.within_budget(cell, "short", "paper", 0, made)}
        assert not module._about("gowalla", made, [cell], recipes)["published_split"]

    def test_tables_share_runs_and_a_failure_leaves_the_rest(self, tmp_path, monkeypatch):
        done = []

        def run_some(jobs, folder, *, after, **_):
            for job in jobs:
                if is_done(job, folder):
                    after(Outcome(job, Run(folder / job.name), "skipped"))
                elif "ccl" in job.name:
                    after(Outcome(job, Run(folder / job.name), "failed", "it was bad"))
                else:
                    fit_recipe(job.recipe, run=folder / job.name, progress=False)
                    done.append(job.name)
                    after(Outcome(job, Run(folder / job.name), "done"))

        monkeypatch.setattr(module, "run_all", run_some)
        given = {"budget": "quick", "folder": tmp_path, "protocols": ["honest"]}
        found = reproduce("mml-negatives", only=["mml-10", "ccl-10"], **given)
        assert done == ["quick/honest/gowalla-mf-mml-10/seed-0"]
        assert found.failed == {"quick/honest/gowalla-mf-ccl-10/seed-0": "it was bad"}
        assert any("Not run to the end yet, and not shown: gowalla-mf-ccl-10, honest" in note for note in found.notes)
        assert "Failed: quick/honest/gowalla-mf-ccl-10/seed-0: it was bad" in str(found)
        assert found.gains.is_empty()
        other = reproduce("mml-losses", only=["mml-10"], **given)
        assert len(done) == 1
        assert other.results["cell"].unique().to_list() == ["gowalla-mf-mml-10"]

    def test_order_of_losses_is_the_paper_s(self):
        assert GRID_LOSSES[-1] == "mml"
