"""Comparisons: what is held alike, what a folder remembers, and every number that is told."""

import csv
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from toy import TINY, write_events

import multimargin as mm
from multimargin.experiments import compare as module
from multimargin.experiments.compare import compare
from multimargin.experiments.methods import settle_methods
from multimargin.experiments.results import gather
from multimargin.experiments.significance import compare_pair, holm, interval
from multimargin.experiments.tables import p_value, pipe_table
from multimargin.recipes.evaluate import evaluate_run
from multimargin.recipes.recipe import Recipe

FEW, MANY = "mf-mml n_negatives=2", "mf-mml n_negatives=9"


@pytest.fixture
def events(tmp_path):
    return write_events(tmp_path / "events.csv")


class TestWhatIsHeldAlike:
    def settled(self, recipes, data, metric=None, overrides=(), vary=None):
        return [
            each.recipe.values for each in settle_methods(recipes, data, "honest", metric, list(overrides), vary or {})
        ]

    def test_split_metric_and_cut_offs_are_one_for_all(self, events):
        values = self.settled(["mf-mml", "gowalla-mf-ccl-100", "yelp2018-mf-bpr-1"], events)
        for key in ("data", "read", "protocol", "split", "split_seed", "k", "evaluate_users", "metric"):
            assert [each[key] for each in values] == [values[0][key]] * 3
        assert values[0]["split"]["name"] == "random-per-user"
        assert (values[0]["split_seed"], values[0]["metric"], values[1]["protocol"]) == (0, "NDCG@20", "honest")
        # all else is each recipe's own
        assert [each["batch_size"] for each in values] == [256, 256, 2048]

    def test_what_recipes_agree_on_stays(self, tmp_path, events):
        for name in "ab":
            (tmp_path / f"{name}.yaml").write_text("split: {name: leave-last-out}\nmetric: Recall@50\nk: [50]\n")
        values = self.settled([tmp_path / "a.yaml", tmp_path / "b.yaml"], events)
        assert [(each["split"]["name"], each["metric"], each["k"]) for each in values] == [
            ("leave-last-out", "Recall@50", [50])
        ] * 2
        assert self.settled([tmp_path / "a.yaml"], events, overrides=["k=[5,10]"])[0]["metric"] == "NDCG@5"
        assert self.settled([tmp_path / "a.yaml"], events, metric="recall@50")[0]["metric"] == "Recall@50"

    def test_parts_are_taken_as_they_are_where_recipes_differ(self, tmp_path):
        for name in ("train", "test"):
            write_events(tmp_path / f"{name}.csv")
        values = self.settled(["mf-mml", "gowalla-mf-ccl-100"], tmp_path)
        assert [each["split"]["name"] for each in values] == ["given", "given"]

    def test_overrides_and_variations(self, events):
        values = self.settled(["mf-mml"], events, overrides=["epochs=3", "split.test=.3"], vary={"n_negatives": [2, 9]})
        assert [(each["n_negatives"], each["epochs"], each["split"]["test"]) for each in values] == [
            (2, 3, 0.3),
            (9, 3, 0.3),
        ]

    def test_recipes_of_ones_own(self, events):
        recipe = Recipe("mine", Recipe.load({"epochs": 7}).values)
        assert self.settled([recipe], events)[0]["epochs"] == 7


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"recipes": []}, "recipes must hold at least one recipe"),
            ({"recipes": ["mf-mmll"]}, "recipe must be a shipped name"),
            ({"recipes": ["mf-mml", "mf-mml"]}, "got 'mf-mml' twice"),
            ({"seeds": 0}, "seeds must be 1 or more; got 0"),
            ({"data": "nowhere.csv"}, "nowhere.csv"),
            ({"protocol": "papers"}, "protocol must be one of"),
            ({"metric": "Recall@7"}, "metric must be one of"),
            ({"overrides": ["split.test=0.0"]}, "split must set test data aside"),
            ({"overrides": ["epochs=0"]}, "epochs must be 1 or more"),
            ({"overrides": ["k=twenty"]}, "k must be"),
            ({"vary": {"n_negatives": 3}}, "vary n_negatives must hold a list"),
            ({"vary": {"n_negativs": [3]}}, "Did you mean 'n_negatives'?"),
            ({"at_once": 0}, "at_once must be 1 or more"),
            ({"recipes": ["mf-mml", "gowalla-mf-ccl-100"], "overrides": ["split.valid=.2"]}, "split must be the same"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_before_anything_runs(self, tmp_path, events, monkeypatch, arguments, message):
        monkeypatch.setattr(module, "run_all", lambda *_, **__: pytest.fail("something ran"))
        given = {"recipes": ["mf-mml"], "data": events, "folder": tmp_path / "new", **arguments}
        with pytest.raises(mm.errors.MultiMarginError, match=re.escape(message)):
            compare(given.pop("recipes"), **given)

    def test_folders_of_something_else(self, tmp_path, events, compared):
        with pytest.raises(mm.CheckpointError, match="holds other files"):
            compare(["mf-mml"], data=events, folder=tmp_path)
        with pytest.raises(mm.CheckpointError, match="is a file"):
            compare(["mf-mml"], data=events, folder=events)
        with pytest.raises(mm.CheckpointError, match=r"its k is \[5\] and not \[20, 50\]"):
            compare(["mf-mml"], data=compared.settings["data"], folder=compared.folder)
        other = write_events(tmp_path / "other.csv", seed=2)
        with pytest.raises(mm.CheckpointError, match="its data_hash is"):
            compare(["mf-mml"], data=other, folder=compared.folder, overrides=TINY)
        with pytest.raises(mm.CheckpointError, match="its epochs differs"):
            compare(
                ["mf-mml"],
                data=compared.settings["data"],
                folder=compared.folder,
                overrides=[*(each for each in TINY if not each.startswith(("n_neg", "epochs"))), "epochs=3"],
                vary={"n_negatives": [2]},
            )

    def test_a_run_that_fails_is_named(self, tmp_path, events):
        with pytest.raises(mm.CheckpointError, match=r"mf-mml/seed-0 must finish.*0 of 1 runs are kept"):
            compare(
                ["mf-mml"],
                data=events,
                seeds=1,
                overrides=[*TINY, "learning_rate=1e30", "clip_norm=null"],
                folder=tmp_path / "new",
                progress=False,
            )

    def test_runs_of_another_split_are_not_gathered(self, compared):
        from multimargin.recipes.fit import read_data, split_data

        recipe = compared.recipes[FEW]
        parts = split_data(recipe, recipe.strategy(), read_data(recipe))
        runs = {key: run.path for key, run in compared.runs.items()}
        with pytest.raises(mm.CheckpointError, match="its split_hash is another"):
            gather(compared.folder, {**compared.settings, "split_hash": "x"}, compared.recipes, runs, parts)


class TestNumbers:
    def test_runs_differ_in_the_seed_of_training_alone(self, compared):
        infos = [run.info() for run in compared.runs.values()]
        assert len(infos) == 4
        assert len({info["split_hash"] for info in infos}) == 1
        assert [info["seed"] for info in infos] == [0, 0, 1, 1] or [info["seed"] for info in infos] == [0, 1, 0, 1]
        values = compared.values["NDCG@5"]
        assert values.shape == (2, 2, len(compared.users))
        assert not np.array_equal(values[0, 0], values[0, 1])

    def test_values_are_what_evaluate_says(self, compared):
        for (method, seed), run in compared.runs.items():
            found = evaluate_run(run.path)
            place = compared.methods.index(method), seed
            assert compared.values["Recall@5"][place].tolist() == found.per_user["Recall@5"].tolist()

    def test_summary(self, compared):
        row = next(row for row in compared.summary.to_dicts() if (row["method"], row["metric"]) == (MANY, "Recall@5"))
        values = compared.values["Recall@5"][1]
        over_seeds, over_users = interval(values.mean(1)), interval(values.mean(0))
        assert (row["mean"], row["low"], row["high"]) == (over_seeds.mean, over_seeds.low, over_seeds.high)
        assert (row["low_over_users"], row["high_over_users"]) == (over_users.low, over_users.high)
        assert (row["protocol"], row["seeds"], row["users"]) == ("honest", 2, len(compared.users))

    def test_pairs(self, compared):
        rows = [row for row in compared.pairs.to_dicts() if row["metric"] == "NDCG@5"]
        assert [(row["first"], row["second"]) for row in rows] == [(FEW, MANY)]
        values = compared.values["NDCG@5"]
        expected = compare_pair(values[0], values[1], rng=np.random.default_rng(0))
        assert (rows[0]["difference"], rows[0]["p"]) == (expected.difference.mean, expected.p)
        assert rows[0]["p_flips"] == pytest.approx(expected.p_flips, abs=0.03)
        assert compared.pairs.filter(metric="Recall@5")["p_flips"].to_list() == [None]

    def test_several_pairs_are_corrected(self, compared):
        values = np.concatenate([compared.values["NDCG@5"], compared.values["NDCG@5"][:1] + 0.1])
        recipes = {**compared.recipes, "better": compared.recipes[FEW]}
        three = mm.Comparison(**{**vars_of(compared), "recipes": recipes, "values": {"NDCG@5": values}})
        rows = three.pairs.to_dicts()
        alone = [
            compare_pair(values[one], values[other], rng=np.random.default_rng(0)).p
            for one, other in ((0, 1), (0, 2), (1, 2))
        ]
        assert [row["p"] for row in rows] == pytest.approx(holm(np.array(alone)).tolist())
        assert rows[1]["better"] == "better"  # by the same 0.1 for everybody

    def test_groups_of_users(self, compared):
        rows = compared.groups.filter(method=FEW).to_dicts()
        assert sum(row["users"] for row in rows) == len(compared.users)
        whole = sum(row["mean"] * row["users"] for row in rows) / len(compared.users)
        assert whole == pytest.approx(compared.values["NDCG@5"][0].mean())

    def test_groups_are_by_history(self, compared):
        users = np.repeat([2, 9, 1, 5], [4, 25, 16, 55])
        values = np.broadcast_to(users / 10, (2, 2, 100))
        made = mm.Comparison(**{**vars_of(compared), "users": users, "values": {"NDCG@5": values}})
        rows = made.groups.filter(method=FEW).to_dicts()
        assert [row["interactions"] for row in rows] == ["1 to 2", "5", "9"]
        assert [row["users"] for row in rows] == [20, 55, 25]
        assert rows[2]["mean"] == pytest.approx(0.9)

    def test_costs(self, compared):
        row = compared.costs.filter(method=FEW).to_dicts()[0]
        infos = [run.info() for (method, _), run in compared.runs.items() if method == FEW]
        assert row["parameters"] == infos[0]["parameters"]
        assert row["peak_memory_mib"] == max(info["peak_memory_mib"] for info in infos)
        assert row["training_seconds"] == pytest.approx(np.mean([info["training_seconds"] for info in infos]), abs=1e-3)


@pytest.fixture(scope="module")
def files(compared):
    return compared.write(command="multimargin compare mf-mml")


class TestFiles:
    def test_each_says_the_protocol(self, files):
        assert sorted(path.name for path in files.values()) == [
            "pairs.csv", "report.html", "results.csv", "results.json", "results.md", "runs.csv",
        ]  # fmt: skip
        for name in ("csv", "pairs", "runs"):
            rows = list(csv.DictReader(files[name].read_text().splitlines()))
            assert rows
            assert all(row["protocol"] == "honest" for row in rows)
        found = json.loads(files["json"].read_text())
        assert found["protocol"] == "honest"
        assert all(row["protocol"] == "honest" for row in found["summary"] + found["pairs"] + found["runs"])
        assert "Recall@5 (honest)" in files["markdown"].read_text()
        assert "protocol: honest" in files["report"].read_text()

    def test_markdown_and_csv_hold_the_same_numbers(self, compared, files):
        rows = {(row["method"], row["metric"]): row for row in csv.DictReader(files["csv"].read_text().splitlines())}
        text = files["markdown"].read_text()
        for method in compared.methods:
            line = next(line for line in text.splitlines() if line.startswith(f"| {method} "))
            assert f"{float(rows[method, 'Recall@5']['mean']):.4f}" in line
        assert "multimargin compare mf-mml" in text

    def test_report_stands_alone(self, files):
        page = files["report"].read_text()
        headings, tags, outside = [], [], []

        class Reader(HTMLParser):
            def handle_starttag(self, tag, attributes):
                tags.append(tag)
                outside.extend(
                    value
                    for name, value in attributes
                    if name in ("src", "href", "xlink:href") and not value.startswith("#")
                )

            def handle_data(self, data):
                if tags and tags[-1] == "h2" and data.strip():
                    headings.append(data.strip())
                    tags.append("")

        Reader().feed(page)
        assert outside == []
        assert "script" not in tags
        expected = {
            "Quality, seed by seed", "Differences", "Learning curves", "Quality against the number of negatives",
            "Quality against time", "Scores against margins", "Popularity of what is recommended",
        }  # fmt: skip
        assert expected <= set(headings)
        assert tags.count("svg") >= len(expected)
        assert "<?xml" not in page

    def test_without_matplotlib_the_tables_stay(self, compared, monkeypatch):
        from multimargin.experiments import figures
        from multimargin.experiments.report import html_report

        def missing(_):
            raise ImportError("matplotlib")

        monkeypatch.setattr(figures, "draw_all", missing)
        page = html_report(compared)
        assert "<svg" not in page
        assert "Figures need matplotlib" in page
        assert "<table>" in page

    def test_paper_is_said_everywhere(self, compared):
        from multimargin.experiments.report import html_report

        paper = mm.Comparison(**{**vars_of(compared), "settings": {**compared.settings, "protocol": "paper"}})
        for text in (str(paper), html_report(paper)):
            assert "paper protocol" in text
            assert "(paper)" in text
            assert "chosen on the test data" in text
            assert "honest" not in text.rpartition("</style>")[2].partition("Recipes")[0]
        assert paper.summary["protocol"].unique().to_list() == ["paper"]
        assert paper.to_dict()["protocol"] == "paper"


def vars_of(comparison):
    return {name: getattr(comparison, name) for name in comparison.__dataclass_fields__}


def test_seeds_can_be_added_and_nothing_is_done_twice(compared):
    again = {
        "data": compared.settings["data"],
        "overrides": [each for each in TINY if not each.startswith("n_negatives")],
        "vary": {"n_negatives": [2]},
        "folder": compared.folder,
        "progress": False,
    }
    before = {key: (run.path / "info.json").stat().st_mtime_ns for key, run in compared.runs.items()}
    more = compare(["mf-mml"], seeds=3, **again)
    assert more.methods == [FEW]
    assert list(more.seeds) == [0, 1, 2]
    assert before == {key: (run.path / "info.json").stat().st_mtime_ns for key, run in compared.runs.items()}
    assert more.values["NDCG@5"][0, :2].tolist() == compared.values["NDCG@5"][0].tolist()
    one = compare(["mf-mml"], seeds=1, **again)
    assert "One seed" in str(one)
    assert one.summary["low"].to_list() == [None] * len(one.values)


def test_tables():
    assert pipe_table(["a", "b"], [["x", "1"], ["yy", "10"]]).splitlines() == [
        "| a  |  b |", "|----|---:|", "| x  |  1 |", "| yy | 10 |",
    ]  # fmt: skip
    assert [p_value(p) for p in (None, 0.0001, 0.0123)] == ["-", "< 0.001", "0.012"]
