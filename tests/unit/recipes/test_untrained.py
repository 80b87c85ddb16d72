"""Baselines in recipes and in ``mm.fit``."""

import json

import numpy as np
import polars as pl
import pytest
from baseline_cases import some_interactions

import multimargin as mm
from multimargin.recipes.evaluate import evaluate_run
from multimargin.recipes.fit import fit_recipe
from multimargin.recipes.recipe import Recipe, schema
from multimargin.recipes.untrained import build_baseline

LOG = some_interactions(60, 37)
EASE = {"encoder": {"name": "ease", "regularization": 5.0}, "k": [5], "metric": "NDCG@5"}


@pytest.fixture
def events(tmp_path):
    ids = {"user_id": LOG.users.ids(LOG.user_index), "item_id": LOG.items.ids(LOG.indices)}
    pl.DataFrame(ids).write_csv(tmp_path / "log.csv")
    return tmp_path / "log.csv"


class TestRecipe:
    def test_what_is_said_of_training_is_null_and_not_written(self):
        recipe = Recipe.load(EASE)
        assert not recipe.is_trained
        assert list(recipe.values) == list(schema())
        for key in ("loss", "negatives", "n_negatives", "epochs", "stopping", "engine", "device"):
            assert recipe.values[key] is None
            assert f"\n{key}:" not in recipe.to_yaml()
        assert recipe.values["metric"] == "NDCG@5"
        assert "\nseed: 0\n" in recipe.to_yaml()
        assert Recipe.load("mf-mml").is_trained

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            (
                "loss=bpr",
                "loss must be left out, for 'ease' is not trained; got 'bpr'. Take away its line, or add loss=null",
            ),
            ("negatives=uniform", "negatives must be left out"),
            ("epochs=5", "epochs must be left out, for 'ease' is not trained; got 5"),
            ("stopping.patience=3", "stopping must be left out"),
            ("popularity=0.01", "popularity must be left out"),
        ],
    )
    def test_what_is_said_of_training_is_refused(self, override, message):
        with pytest.raises(mm.RecipeError, match=message):
            Recipe.load(EASE, [override])

    def test_null_says_the_same_as_nothing(self):
        assert Recipe.load(EASE, ["loss=null", "epochs=null", "popularity=0"]) == Recipe.load(EASE)

    def test_a_trained_recipe_needs_its_loss(self):
        with pytest.raises(
            mm.RecipeError, match="loss must be left out, for 'item-knn' is not trained; got 'multi-margin'"
        ):
            Recipe.load("mf-mml", ["encoder=item-knn"])

    def test_overrides_reach_the_constructor(self):
        recipe = Recipe.load(EASE, ["encoder.regularization=7.5"])
        assert recipe.build().encoder.regularization == 7.5
        with pytest.raises(
            mm.RecipeError, match=r"encoder\.regularisation' is unknown. Did you mean 'encoder.regularization'"
        ):
            Recipe.load(EASE, ["encoder.regularisation=7.5"])

    def test_code_of_one_s_own(self):
        recipe = Recipe.load({"encoder": "multimargin.baselines:MostPopular"})
        assert not recipe.is_trained
        assert type(recipe.build().encoder) is mm.MostPopular


class TestRun:
    def test_a_run_folder_holds_what_any_run_s_does(self, events, tmp_path):
        fitted = fit_recipe(Recipe.load(EASE), data=events, run=tmp_path / "run", progress=False)
        files = {path.name for path in (tmp_path / "run").iterdir()}
        assert files == {"recipe.yaml", "info.json", "metrics.jsonl", "model", "evaluation.json", "per-user.parquet"}
        (row,) = fitted.run.history()
        assert row["epoch"] == 1
        assert row["protocol"] == "honest"
        assert {"train_seconds", "eval_seconds", "NDCG@5"} <= set(row)
        assert fitted.training.best_value == row["NDCG@5"]
        info = fitted.run.info()
        assert info["ended"] == "finished"
        assert info["device"] == "cpu"
        assert info["parameters"] == fitted.parts.train.n_items * (fitted.parts.train.n_items + 1)  # weights and bias
        assert evaluate_run(tmp_path / "run").metrics == fitted.evaluation.metrics

    def test_honest_numbers_come_from_test_data_and_training_histories(self, events, tmp_path):
        fitted = fit_recipe(Recipe.load(EASE), data=events, run=tmp_path / "run", progress=False)
        parts = fitted.parts
        scorer = mm.EASE(5.0).build(parts.train, rng=np.random.default_rng(0))
        expected = mm.Evaluator(parts.test, seen=parts.train.union([parts.select]), k=5).measure(scorer)
        assert fitted.evaluation.metrics == expected.metrics
        selected = mm.Evaluator(parts.select, seen=parts.train, k=5).measure(scorer)
        assert fitted.run.history()[0]["NDCG@5"] == selected["NDCG@5"]

    def test_the_paper_protocol_ranks_once(self, events, tmp_path, monkeypatch):
        calls, measure = [], mm.Evaluator.measure

        def counted(evaluator, scorer):
            calls.append(evaluator.protocol)
            return measure(evaluator, scorer)

        monkeypatch.setattr(mm.Evaluator, "measure", counted)
        fitted = fit_recipe(Recipe.load(EASE, ["protocol=paper"]), data=events, run=tmp_path / "run", progress=False)
        assert calls == ["paper"]
        assert fitted.run.evaluation()["protocol"] == "paper"
        assert fitted.run.evaluation()["NDCG@5"] == fitted.run.history()[0]["NDCG@5"]
        assert evaluate_run(tmp_path / "run").metrics == fitted.evaluation.metrics

    def test_without_anything_set_aside(self, events, tmp_path):
        recipe = Recipe.load(EASE, ["split=random-per-user", "split.valid=0.0", "split.test=0.0"])
        fitted = fit_recipe(recipe, data=events, run=tmp_path / "run", progress=False)
        assert fitted.evaluation is None
        assert fitted.training.best_value is None
        assert len(mm.load(tmp_path / "run").recommend(k=3)) > 0


class TestFit:
    def test_valid_is_measured_and_left_out_of_lists(self, tmp_path):
        train, valid, _ = LOG.split(mm.RandomPerUser(valid=0.3, test=0.0), rng=0)
        model = mm.fit(train, valid=valid, encoder=mm.ItemKNN(5), run=tmp_path, progress=False)
        row = json.loads((tmp_path / "metrics.jsonl").read_text())
        assert row["Recall@20"] == mm.evaluate(model, valid, seen=train)["Recall@20"]
        assert len(model.seen) == len(LOG)

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            ({"loss": mm.BPRLoss()}, "loss"),
            ({"negatives": mm.UniformNegatives()}, "negatives"),
            ({"stopping": mm.EarlyStopping()}, "stopping"),
            ({"decay": "cosine"}, "decay"),
            ({"popularity": 0.1}, "popularity"),
            ({"run": "x", "resume": True}, "resume"),
        ],
    )
    def test_what_is_said_of_training_is_refused(self, arguments, name):
        with pytest.raises(mm.ArgumentError, match=f"{name} must be left out: MostPopular is not trained; got"):
            mm.fit(LOG, encoder=mm.MostPopular(), **arguments)

    def test_nothing_to_learn_from(self):
        with pytest.raises(mm.DataError, match="training data must hold at least one interaction"):
            build_baseline(mm.MostPopular(), LOG.select(np.zeros(len(LOG), dtype=bool)), seed=0, metric="NDCG@20")
