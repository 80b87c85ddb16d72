"""Questions by outside ids, answered in outside ids."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import ArgumentError, UnknownIdError
from multimargin.recommend import recommender
from multimargin.recommend.recommender import Recommender


@pytest.fixture
def model():
    """Scores are the items' own numbers 1, 4, 2, 3, turned round for bob; ann has seen the best, "d4"."""
    seen = Interactions.from_pairs(
        np.array([0]),
        np.array([1]),
        Vocabulary(["ann", "bob"], kind="user"),
        Vocabulary(["d1", "d4", "d2", "d3"], kind="item"),
    )
    users = np.array([[1.0], [-1.0]], dtype=np.float32)
    return Recommender(users, np.array([[1.0], [4.0], [2.0], [3.0]], dtype=np.float32), similarity="dot", seen=seen)


def test_one_user(model):
    expected = {"user_id": ["ann"] * 2, "item_id": ["d3", "d2"], "score": [3.0, 2.0], "rank": [1, 2]}
    assert model.recommend("ann", 2).to_dict(as_series=False) == expected


def test_users_come_in_the_order_asked_for(model):
    lists = model.recommend(["bob", "ann", "bob"], 1)
    assert lists["user_id"].to_list() == ["bob", "ann", "bob"]
    assert lists["item_id"].to_list() == ["d1", "d3", "d1"]


def test_everybody_and_shorter_lists(model):
    lists = model.recommend(k=4)
    assert lists["user_id"].to_list() == ["ann"] * 3 + ["bob"] * 4
    assert lists.filter(user_id="ann")["rank"].to_list() == [1, 2, 3]
    assert model.recommend("ann", 1, exclude_seen=False)["item_id"].to_list() == ["d4"]
    assert model.recommend([], 1).is_empty()
    assert model.recommend([], 1).columns == ["user_id", "item_id", "score", "rank"]


def test_only_some_items(model):
    assert model.recommend("ann", 3, items=["d4", "d1"])["item_id"].to_list() == ["d1"]
    assert model.recommend("bob", 3, items=["d4", "d1", "d1"])["item_id"].to_list() == ["d1", "d4"]


def test_blocks_change_nothing(model, monkeypatch):
    whole = model.recommend(k=3)
    monkeypatch.setattr(recommender, "_BLOCK", 1)
    assert len(list(model.recommend_blocks(k=3))) == 2
    assert model.recommend(k=3).equals(whole)


def test_integer_ids_stay_integers():
    seen = Interactions.from_pairs(np.array([0]), np.array([0]), Vocabulary([70, 5]), Vocabulary([900, 30]))
    model = Recommender(np.ones((2, 1)), np.ones((2, 1)), similarity="cosine", seen=seen)
    lists = model.recommend(70, 1)
    assert lists["user_id"].dtype == pl.Int64
    assert lists["item_id"].to_list() == [30]
    assert model.recommend(np.int64(5), 1)["item_id"].to_list() == [900]


def test_cosine_ignores_lengths():
    seen = Interactions.from_pairs(np.array([], int), np.array([], int), Vocabulary.range(1), Vocabulary.range(3))
    items = np.array([[0.1, 0.0], [5.0, 5.0], [0.0, 0.0]], dtype=np.float32)
    model = Recommender(torch.tensor([[2.0, 0.0]], requires_grad=True), items, similarity="cosine", seen=seen)
    lists = model.recommend(0, 3)
    assert lists["item_id"].to_list() == [0, 1, 2]
    np.testing.assert_allclose(lists["score"], [1, 0.5**0.5, 0], rtol=1e-6)


def test_similar_items_and_users(model):
    alike = model.similar_items(["d1", "d4"], 1)
    assert alike.columns == ["item_id", "similar_item_id", "score", "rank"]
    assert alike["similar_item_id"].to_list() == ["d4", "d1"]  # all point the same way: the first that is not itself
    assert model.similar_users("ann", 1).row(0) == ("ann", "bob", -1.0, 1)
    with pytest.raises(ArgumentError, match="k must be at most 3, the number of others; got 4"):
        model.similar_items("d1", 4)


def test_a_new_user_by_history(model):
    lists = model.recommend_for(["d1", "d3"], 2)
    assert lists.columns == ["item_id", "score", "rank"]
    assert lists["item_id"].to_list() == ["d4", "d2"]
    assert model.recommend_for(["d4"], 1, exclude_seen=False)["item_id"].to_list() == ["d4"]
    np.testing.assert_allclose(model.fold_in(["d1", "d3"]), [2.0])
    for frame in (pl.DataFrame({"item_id": ["d1", "d3"]}), pd.DataFrame({"item_id": ["d1", "d3"]})):
        assert model.recommend_for(frame, 2).equals(lists)
    with pytest.raises(ArgumentError, match="history must have a column item_id"):
        model.recommend_for(pl.DataFrame({"thing": ["d1"]}), 2)
    with pytest.raises(ArgumentError, match="history must hold at least one item"):
        model.recommend_for([], 2)


def test_unknown_ids_are_named(model):
    with pytest.raises(
        UnknownIdError, match=r"user ids .* 'eve'\. For a user who was not in training use recommend_for"
    ):
        model.recommend(["ann", "eve"], 1)
    with pytest.raises(UnknownIdError, match=r"item ids .* 'd9'\.$"):
        model.recommend("ann", 1, items=["d9"])
    with pytest.raises(UnknownIdError, match="'d9'"):
        model.recommend_for(["d9"], 1)


@pytest.mark.parametrize(
    ("k", "message"), [(0, "k must be 1 or more"), (5, "k must be at most 4, the number of items; got 5")]
)
def test_length_of_lists(model, k, message):
    with pytest.raises(ArgumentError, match=message):
        model.recommend("ann", k)


def test_tables_must_fit_the_ids(model):
    ones = np.ones((2, 1), dtype=np.float32)
    with pytest.raises(ArgumentError, match="item_table must have 4 rows, one for each id; got 2"):
        Recommender(ones, ones, similarity="dot", seen=model.seen)
    with pytest.raises(ArgumentError, match="item_table must have 1 columns"):
        Recommender(ones, np.ones((4, 2)), similarity="dot", seen=model.seen)
    with pytest.raises(ArgumentError, match="similarity must be one of cosine, dot; got 'cosin'"):
        Recommender(ones, np.ones((4, 1)), similarity="cosin", seen=model.seen)
