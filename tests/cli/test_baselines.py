"""A baseline through every command."""

import json

import polars as pl
import pytest


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "mine.yaml").write_text("encoder: {name: item-knn, neighbours: 5}\nk: [5]\nmetric: NDCG@5\n")
    return tmp_path / "mine.yaml"


def test_fit_evaluate_recommend_similar_export(cli, events, recipe, tmp_path):
    run = tmp_path / "run"
    fitted = cli("fit", recipe, "--data", events, "--run", run)
    assert (fitted.code, fitted.err) == (0, "")
    assert f"Run folder: {run}\n" in fitted.out
    evaluated = cli("evaluate", run, "--json")
    assert json.loads(evaluated.out)["Recall@5"] > 0.3  # users of a parity like items of that parity
    assert cli("recommend", run, "--k", 3, "-o", tmp_path / "lists.parquet").code == 0
    lists = pl.read_parquet(tmp_path / "lists.parquet")
    assert lists["user_id"].n_unique() == 40
    assert cli("similar", run, "--items", "i03", "--k", 2).out.startswith("item_id,similar_item_id,score,rank\ni03,i")
    exported = cli("export", run, "--to", tmp_path / "vectors")
    assert exported.code == 2
    assert exported.err.startswith("error: export must be of a model with vectors; this one scores histories")
    assert exported.err.count("\n") == 1


def test_a_loss_beside_a_baseline_is_one_line(cli, events, recipe, tmp_path):
    done = cli("fit", recipe, "loss=bpr", "--data", events, "--run", tmp_path / "run")
    assert done.code == 2
    assert done.err.startswith("error: loss must be left out, for 'item-knn' is not trained")


def test_they_are_listed_with_the_encoders(cli):
    listed = json.loads(cli("list", "encoders", "--json").out)
    assert {"mf", "ease", "item-knn", "most-popular", "slim", "als", "gf-cf", "cheby-cf"} <= set(listed)
    assert "gowalla: ease, paper protocol" in cli("list", "recipes").out
