"""What a model does: its lists, scores and their popularity, against plain loops."""

import numpy as np
import pytest
from plain_training import random_interactions

import multimargin as mm
from multimargin.experiments.analysis import analyse, gini, popularity_groups
from multimargin.recipes.fit import Parts
from multimargin.recipes.recipe import Recipe


@pytest.fixture(scope="module", params=["cosine", "dot"])
def found(request):
    split = mm.RandomPerUser(valid=0.1, test=0.3).split(random_interactions(), rng=0)
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(n, 6)).astype(np.float32) for n in (split.n_users, split.n_items)]
    seen = split.train.union([split.valid])
    model = mm.Recommender(*tables, similarity=request.param, seen=seen)
    parts = Parts(split.train, split.valid, split.test, seen, seen, "", "")
    return model, parts, analyse(model, parts, Recipe.load("mf-mml", ["k=[5]", "metric=NDCG@5"]))


def test_lists_are_those_that_are_evaluated(found):
    model, parts, analysis = found
    lists = model.recommend(k=5)
    n_listed = np.zeros(parts.train.n_items, dtype=int)
    for user_id, item_id in lists.select("user_id", "item_id").iter_rows():
        if parts.test.user_counts[model.users.indices([user_id])[0]]:
            n_listed[model.items.indices([item_id])[0]] += 1
    popularity = analysis["popularity"]
    assert popularity["coverage"] == (n_listed > 0).mean()
    assert popularity["mean_interactions"] == pytest.approx((n_listed * parts.train.item_counts).sum() / n_listed.sum())
    groups = popularity_groups(parts.train.item_counts)
    for name, weights in (("listed", n_listed), ("test", parts.test.item_counts), ("items", np.ones(len(groups)))):
        expected = [weights[groups == group].sum() / weights.sum() for group in range(10)]
        assert popularity[name] == pytest.approx(expected)


def test_scores_of_each_kind_of_pair(found):
    model, parts, analysis = found
    scores = analysis["scores"]
    for kind, part in (("training", parts.train), ("test", parts.test)):
        total = 0.0
        for user, item in zip(part.user_index, part.indices, strict=True):
            u, v = model.user_table[user].astype(float), model.item_table[item].astype(float)
            total += u @ v / (np.linalg.norm(u) * np.linalg.norm(v) if model.similarity == "cosine" else 1)
        assert scores["kinds"][kind]["n"] == len(part)
        assert sum(scores["kinds"][kind]["counts"]) == len(part)
        assert scores["kinds"][kind]["mean"] == pytest.approx(total / len(part), abs=1e-5)
    # the best of what is unseen scores higher than what is drawn from it
    assert scores["kinds"]["listed"]["mean"] > scores["kinds"]["unseen"]["mean"]
    assert len(scores["edges"]) == len(scores["kinds"]["unseen"]["counts"]) + 1
    if model.similarity == "cosine":
        assert (scores["edges"][0], scores["edges"][-1]) == (-1, 1)


def test_groups_of_items_hold_equal_shares_of_the_interactions():
    counts = np.random.default_rng(0).zipf(1.6, size=5000).clip(max=200)
    groups = popularity_groups(counts)
    shares = np.bincount(groups, weights=counts) / counts.sum()
    assert shares == pytest.approx(np.full(10, 0.1), abs=0.01)
    assert counts[groups == 0].min() >= counts[groups == 1].max()
    assert popularity_groups(np.zeros(3, dtype=np.int64)).tolist() == [0, 0, 0]


def test_gini_is_the_mean_difference_over_twice_the_mean():
    counts = np.random.default_rng(1).integers(0, 50, size=40)
    differences = sum(abs(int(a) - int(b)) for a in counts for b in counts) / len(counts) ** 2
    assert gini(counts) == pytest.approx(differences / (2 * counts.mean()))
    assert gini(np.zeros(3, dtype=np.int64)) == 0.0
