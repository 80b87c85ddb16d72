"""Scorers of histories behind a recommender: against plain loops."""

import numpy as np
import pytest
import scipy.sparse
from baseline_cases import best, dense, some_interactions

import multimargin as mm
from multimargin.recommend import Histories, LinearScorer, Recommender, SeenItems
from multimargin.recommend.best_scores import best_scores

LOG = some_interactions()
RNG = np.random.default_rng(2)
WEIGHTS = np.where(RNG.random((37, 37)) < 0.3, RNG.integers(-3, 4, (37, 37)), 0).astype(np.float32)  # with many ties
BIAS = RNG.integers(0, 2, 37).astype(np.float32)


@pytest.fixture(params=["dense", "sparse"])
def model(request):
    weights = WEIGHTS if request.param == "dense" else scipy.sparse.csr_array(WEIGHTS)
    return Recommender.of(LinearScorer(Histories.of(LOG), weights, BIAS), seen=LOG)


def test_lists_are_those_of_a_plain_loop(model):
    scores = dense(LOG) @ WEIGHTS + BIAS
    for user in range(LOG.n_users):
        lists = model.recommend(user, 9)
        expected = best(scores[user], 9, set(LOG.items_of(user)))
        assert lists["item_id"].to_list() == expected
        assert lists["score"].to_list() == scores[user, expected].tolist()
        everything = model.recommend(user, 9, exclude_seen=False, items=[3, 9, 20])
        assert everything["item_id"].to_list() == best(scores[user], 9, set(), {3, 9, 20})


def test_a_new_user(model):
    scores = WEIGHTS[[2, 8]].sum(0) + BIAS
    assert model.recommend_for([8, 2, 2], 6)["item_id"].to_list() == best(scores, 6, {2, 8})
    assert model.recommend_for([8, 2], 6, exclude_seen=False)["item_id"].to_list() == best(scores, 6, set())


def test_similar_items_are_rows_of_weights_less_those_that_say_nothing(model):
    found = model.similar_items(list(range(37)), 36)
    for item in range(37):
        expected = best(WEIGHTS[item], 36, {item}, zeros=False)
        assert found.filter(item_id=item)["similar_item_id"].to_list() == expected
        assert found.filter(item_id=item)["score"].to_list() == WEIGHTS[item, expected].tolist()


def test_similar_users_are_by_the_cosine_of_histories(model):
    table = dense(LOG)
    lengths = np.maximum(np.sqrt(table.sum(1)), 1)
    cosines = table @ table.T / np.outer(lengths, lengths)
    found = model.similar_users([0, 1, 3, 28], 28)
    assert 3 not in found["user_id"].to_list()  # who has touched nothing is like nobody
    for user in (0, 1, 28):
        listed = found.filter(user_id=user)
        assert set(listed["similar_user_id"]) == set(np.flatnonzero(cosines[user]).tolist()) - {user}
        np.testing.assert_allclose(listed["score"], cosines[user, listed["similar_user_id"].to_list()], rtol=1e-6)
        assert (np.diff(listed["score"]) <= 0).all()


def test_what_everybody_has_seen_is_not_what_is_scored():
    """Lists leave out more than the history: scores stay those of the history."""
    more = Recommender.of(LinearScorer(Histories.of(LOG), WEIGHTS, BIAS), seen=some_interactions(seed=6))
    scores = dense(LOG) @ WEIGHTS + BIAS
    expected = best(scores[4], 5, set(more.seen.items_of(4)))
    assert more.recommend(4, 5)["item_id"].to_list() == expected


@pytest.mark.parametrize(("name", "at"), [("weights", (3, 4)), ("bias", (4,))])
def test_what_is_not_finite_is_refused(name, at):
    given = {"weights": WEIGHTS.copy(), "bias": BIAS.copy()}
    given[name][at] = np.nan
    with pytest.raises(mm.ArgumentError, match=f"{name} must be finite"):
        LinearScorer(Histories.of(LOG), **given)


def test_a_scorer_must_fit_the_ids():
    with pytest.raises(mm.ArgumentError, match="users must have 30 rows, one for each id; got 29"):
        Recommender.of(LinearScorer(Histories.of(LOG), WEIGHTS), seen=some_interactions(30, 37))
    evaluator = mm.Evaluator(some_interactions(29, 38), seen=some_interactions(29, 38))
    with pytest.raises(mm.ArgumentError, match="items must have 38 rows, as the data says; got 37"):
        evaluator.measure(LinearScorer(Histories.of(LOG), WEIGHTS))


def test_best_scores_of_negative_zero_and_short_lists():
    scores = np.array([[-0.0, 0.0, -1.0, 2.0]], dtype=np.float32)
    seen = np.array([0, 1]), np.array([3], dtype=np.int32), np.array([0])
    index, score = best_scores(scores, 4, seen, np.ones(4, dtype=np.bool_))
    assert index.tolist() == [[0, 1, 2, -1]]
    assert score[0, :3].tolist() == [0, 0, -1]
    assert score[0, 3] == -np.inf
    few, _ = best_scores(scores, 4, seen, np.array([True, False, True, True]), zeros=False)
    assert few.tolist() == [[2, -1, -1, -1]]


def test_seen_rows_may_come_in_any_order():
    scorer = LinearScorer(Histories.of(LOG), WEIGHTS, BIAS)
    users = np.array([8, 2, 8])
    index, _ = scorer.rank_users(users, 37, seen=SeenItems(LOG.indptr, LOG.indices, users))
    for row, user in enumerate(users):
        assert not np.isin(index[row], LOG.items_of(user)).any()
