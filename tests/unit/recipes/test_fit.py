"""``mm.fit``: a run folder of one's own, interrupted and resumed."""

import json

import polars as pl
import pytest
from plain_training import random_interactions

import multimargin as mm
from multimargin.recipes.evaluate import evaluate_run
from multimargin.recipes.fit import fit_recipe
from multimargin.recipes.recipe import Recipe
from multimargin.recommend.popularity import EXPONENTS

SMALL = {"loss": mm.MultiMarginLoss((0.1, 0.3), (0.4, 0.6)), "n_negatives": 5, "batch_size": 32, "progress": False}


def test_resumed_is_as_if_never_interrupted(tmp_path):
    train = random_interactions()
    whole = mm.fit(train, encoder=mm.MF(8), epochs=5, **SMALL)
    mm.fit(train, encoder=mm.MF(8), epochs=2, run=tmp_path, **SMALL)
    resumed = mm.fit(train, encoder=mm.MF(8), epochs=5, run=str(tmp_path), resume=True, **SMALL)
    assert (whole.user_table == resumed.user_table).all()
    assert (whole.item_table == resumed.item_table).all()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4, 5]


def test_resuming_from_nowhere_is_an_error(tmp_path):
    train = random_interactions()
    with pytest.raises(mm.ArgumentError, match="run must be a folder to resume from; got None"):
        mm.fit(train, resume=True, **SMALL)
    with pytest.raises(mm.CheckpointError, match="no checkpoint here"):
        mm.fit(train, run=tmp_path, resume=True, **SMALL)


def test_a_sample_of_users_is_named_wherever_its_numbers_are(tmp_path):
    log = random_interactions()
    ids = {"user_id": log.users.ids(log.user_index), "item_id": log.items.ids(log.indices)}
    pl.DataFrame(ids).write_csv(tmp_path / "log.csv")
    recipe = Recipe.load("mf-mml", ["epochs=2", "encoder.embedding_dim=4", "n_negatives=3", "evaluate_users=5"])
    fitted = fit_recipe(recipe, data=tmp_path / "log.csv", run=tmp_path / "run", progress=False)
    assert [row["users"] for row in fitted.run.history()] == [5, 5]
    assert fitted.run.evaluation()["users"] == 5
    assert "measured on 5 of the" in fitted.run.evaluation()["notes"][0]
    assert evaluate_run(tmp_path / "run").metrics == fitted.evaluation.metrics
    whole = fit_recipe(
        Recipe.load("mf-mml", ["epochs=2", "encoder.embedding_dim=4", "n_negatives=3"]),
        data=tmp_path / "log.csv", run=tmp_path / "whole", progress=False,
    )  # fmt: skip
    assert "users" not in whole.run.history()[0]
    assert whole.run.evaluation()["users"] > 5


def test_a_sample_from_python(tmp_path):
    train, valid, _ = random_interactions().split(mm.RandomPerUser(valid=0.3, test=0.0), rng=0)
    mm.fit(train, valid=valid, encoder=mm.MF(4), epochs=1, evaluate_users=4, run=tmp_path, **SMALL)
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["users"] == 4


SMALL_RECIPE = ["epochs=2", "encoder.embedding_dim=4", "n_negatives=3"]


def write_log(path):
    log = random_interactions()
    ids = {"user_id": log.users.ids(log.user_index), "item_id": log.items.ids(log.indices)}
    pl.DataFrame(ids).write_csv(path)
    return path


def test_a_split_seed_holds_the_split_while_the_training_seed_changes(tmp_path):
    data = write_log(tmp_path / "log.csv")

    def fitted(run, *changes):
        recipe = Recipe.load("mf-mml", [*SMALL_RECIPE, "evaluate_users=5", *changes])
        return fit_recipe(recipe, data=data, run=tmp_path / run, progress=False)

    one, other = fitted("one", "seed=1", "split_seed=7"), fitted("other", "seed=2", "split_seed=7")
    assert one.parts.split_hash == other.parts.split_hash
    assert one.run.per_user()["user_id"].to_list() == other.run.per_user()["user_id"].to_list()
    assert (one.model.user_table != other.model.user_table).any()
    assert fitted("own", "seed=7").parts.split_hash == one.parts.split_hash
    assert fitted("apart", "seed=1").parts.split_hash != one.parts.split_hash
    assert evaluate_run(tmp_path / "one").metrics == one.evaluation.metrics


def test_a_run_keeps_the_metrics_of_each_user(tmp_path):
    recipe = Recipe.load("mf-mml", SMALL_RECIPE)
    fitted = fit_recipe(recipe, data=write_log(tmp_path / "log.csv"), run=tmp_path / "run", progress=False)
    kept = fitted.run.per_user()
    evaluation = fitted.evaluation
    assert kept["user_id"].to_list() == fitted.model.users.ids(evaluation.users).to_list()
    for name, values in evaluation.per_user.items():
        assert kept[name].to_list() == values.tolist()
    assert fitted.run.info()["parameters"] == fitted.model.user_table.size + fitted.model.item_table.size


def test_a_run_without_test_data_has_no_users(tmp_path):
    recipe = Recipe.load("mf-mml", [*SMALL_RECIPE, "split.test=0.0"])
    fitted = fit_recipe(recipe, data=write_log(tmp_path / "log.csv"), run=tmp_path / "run", progress=False)
    with pytest.raises(mm.CheckpointError, match="has no test data"):
        fitted.run.per_user()


def test_popularity_is_chosen_on_validation_data_and_served(tmp_path):
    data = write_log(tmp_path / "log.csv")

    def fitted(run, *changes):
        recipe = Recipe.load("mf-mml", [*SMALL_RECIPE, "split.valid=0.3", "metric=NDCG@50", *changes])
        return fit_recipe(recipe, data=data, run=tmp_path / run, progress=False)

    def at(exponent):
        fit = fitted(str(exponent), f"popularity={exponent}")
        assert fit.run.info()["popularity"] == exponent
        return fit.run.history()[-1]["NDCG@50"]

    chosen = fitted("auto", "popularity=auto")
    exponent = chosen.run.info()["popularity"]
    values = {each: at(each) for each in EXPONENTS}
    assert len(set(values.values())) > 1
    assert exponent == min(each for each in EXPONENTS if values[each] == max(values.values()))
    assert chosen.model.info["popularity"] == exponent
    assert chosen.model.similarity == ("dot" if exponent else "cosine")
    assert evaluate_run(tmp_path / "auto").metrics == chosen.evaluation.metrics


def test_popularity_needs_a_cosine_and_data_to_be_chosen_on(tmp_path):
    train = random_interactions()
    with pytest.raises(mm.ArgumentError, match="popularity must be a number where there is no validation data"):
        mm.fit(train, popularity="auto", **SMALL)
    with pytest.raises(mm.ArgumentError, match="popularity must be 0 where scores are dot products"):
        mm.fit(train, encoder=mm.MF(4, similarity="dot"), popularity=0.1, **SMALL)
    with pytest.raises(mm.ArgumentError, match="popularity must"):
        Recipe.load("mf-mml", ["popularity=always"])
