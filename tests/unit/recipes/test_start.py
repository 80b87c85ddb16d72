"""Going on from a model: nothing is lost, newcomers begin where their interactions are, other models are refused."""

import numpy as np
import polars as pl
import pytest
from plain_training import random_interactions

import multimargin as mm
from multimargin.errors import ArgumentError
from multimargin.recipes.start import Start

STILL = {"learning_rate": 1e-30, "epochs": 1}
OPTIONS = {"n_negatives": 4, "learning_rate": 0.02, "epochs": 2, "batch_size": 64, "progress": False, "device": "cpu"}


def directions(table):
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def test_without_new_data_and_learning_it_is_the_model():
    train = random_interactions()
    model = mm.fit(train, encoder=mm.MF(8), **OPTIONS)
    again = mm.fit(train, encoder=mm.MF(8), start=model, **OPTIONS | STILL)
    assert np.array_equal(again.user_table, model.user_table)
    assert np.array_equal(again.item_table, model.item_table)
    assert again.recommend(k=5).equals(model.recommend(k=5))


@pytest.mark.parametrize("encoder", [mm.MF, mm.SimpleX, mm.TwoTower])
def test_a_run_folder_has_every_parameter(encoder, tmp_path):
    train = random_interactions()
    names = {mm.MF: "mf", mm.SimpleX: "simplex", mm.TwoTower: "two-tower"}
    recipe = mm.Recipe.load("mf-mml", [f"encoder={names[encoder]}"])
    made = encoder(8)
    model = mm.fit(train, encoder=made, run=tmp_path, **OPTIONS)
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    model.save(tmp_path / "model")
    again = mm.fit(train, encoder=encoder(8), start=tmp_path, seed=5, **OPTIONS | STILL)
    assert np.allclose(again.user_table, model.user_table, rtol=1e-6)
    assert np.allclose(again.item_table, model.item_table, rtol=1e-6)


@pytest.fixture
def old_and_new():
    """A model, and interactions with a new user and a new item, in another order of ids."""
    train = random_interactions()
    model = mm.fit(train, encoder=mm.MF(8, init_std=0.3), **OPTIONS)
    frame = pl.DataFrame({"user_id": [1000, 7, 9, 1000, 3], "item_id": [5, 500, 500, 6, 2]})
    return model, mm.Interactions.from_frame(frame)


def test_newcomers_begin_where_their_interactions_are(old_and_new):
    model, new = old_and_new
    again = mm.fit(new, encoder=mm.MF(8), start=model, **OPTIONS | STILL)
    users, items = (vocabulary.series.to_list() for vocabulary in (again.users, again.items))
    assert (users[:-1], users[-1]) == (model.users.series.to_list(), 1000)
    assert (items[:-1], items[-1]) == (model.items.series.to_list(), 500)
    assert np.array_equal(again.user_table[:-1], model.user_table)
    assert np.array_equal(again.item_table[:-1], model.item_table)
    of_users = directions(model.user_table)[model.users.indices([7, 9])].sum(0)
    length = np.sort(np.linalg.norm(model.item_table, axis=1))[(len(model.items) - 1) // 2]
    assert np.allclose(again.item_table[-1], length * directions(of_users[None])[0], rtol=1e-4, atol=1e-6)
    of_items = directions(model.item_table)[model.items.indices([5, 6])].sum(0)
    assert np.allclose(directions(again.user_table[-1:])[0], directions(of_items[None])[0], rtol=1e-4, atol=1e-6)


def test_what_was_seen_stays_seen(old_and_new):
    model, new = old_and_new
    again = mm.fit(new, encoder=mm.MF(8), start=model, **OPTIONS | STILL)
    assert len(again.seen) == len(model.seen) + len(new) - len(
        set(zip(*pairs(model.seen), strict=True)) & set(zip(*pairs(new), strict=True))
    )


def pairs(interactions):
    return (
        interactions.users.ids(interactions.user_index).to_list(),
        interactions.items.ids(interactions.indices).to_list(),
    )


def test_training_moves_on(old_and_new):
    model, new = old_and_new
    again = mm.fit(new, encoder=mm.MF(8), start=model, **OPTIONS)
    assert not np.array_equal(again.user_table[:-1], model.user_table)
    idle = model.users.indices([11])  # not in the new interactions
    assert np.array_equal(again.user_table[idle], model.user_table[idle])


def test_other_models_are_refused(old_and_new):
    model, new = old_and_new
    with pytest.raises(ArgumentError, match=r"whose user_table is \(41, 16\), but for the number .* got \(40, 8\)"):
        mm.fit(new, encoder=mm.MF(16), start=model, **OPTIONS)
    with pytest.raises(ArgumentError, match="model with the parameters user_table, item_table, value; got"):
        mm.fit(new, encoder=mm.SimpleX(8), start=model, **OPTIONS)
    model.info["popularity"] = 0.01
    with pytest.raises(ArgumentError, match="start must be a run folder"):
        Start.of(model)
