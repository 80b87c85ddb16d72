"""What holds for every baseline in BASELINES, found by itself."""

import importlib
import random
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from baseline_cases import dense, some_interactions
from fake_implicit import install

import multimargin as mm
from multimargin.baselines import BASELINES
from multimargin.recommend import Histories, HistoryScorer, SeenItems, TableScorer

LOG = some_interactions()


@pytest.fixture(params=sorted(BASELINES))
def build(request, monkeypatch):
    if request.param == "als" and find_spec("implicit") is None:
        install(monkeypatch)  # what is ours is tested without the package; with it in tests/unit/baselines/test_als.py

    def build(seed=0, log=LOG):
        return BASELINES[request.param]().build(log, rng=np.random.default_rng(seed))

    return build


def seen_of(log):
    return SeenItems(log.indptr, log.indices, np.arange(log.n_users))


def test_every_user_and_item_has_a_place(build):
    scorer = build()
    assert (scorer.n_users, scorer.n_items) == (LOG.n_users, LOG.n_items)


def test_lists_are_whole_exact_and_in_order(build):
    """Every unseen item once, best first, ties by lower index, no seen one."""
    index, score = build().rank_users(np.arange(LOG.n_users), LOG.n_items, seen=seen_of(LOG))
    table = dense(LOG)
    for user in range(LOG.n_users):
        n = int((table[user] == 0).sum())
        assert sorted(index[user, :n].tolist()) == np.flatnonzero(table[user] == 0).tolist()
        assert (index[user, n:] == -1).all()
        pairs = list(zip(-score[user, :n], index[user, :n], strict=True))
        assert pairs == sorted(pairs)
        assert np.isfinite(score[user, :n]).all()


def test_shorter_lists_are_the_beginning(build):
    scorer, users = build(), np.array([4, 1, 4, 20])
    index, score = scorer.rank_users(users, 30)
    few = scorer.rank_users(users, 3)
    np.testing.assert_array_equal(few[0], index[:, :3])
    np.testing.assert_array_equal(few[1], score[:, :3])


def test_only_some_items(build):
    scorer, users, items = build(), np.arange(LOG.n_users), np.array([2, 3, 8, 30])
    index, score = scorer.among(items).rank_users(users, 4)
    whole, scores = scorer.rank_users(users, LOG.n_items)
    for user in users:
        listed = np.isin(whole[user], items)
        assert index[user].tolist() == whole[user, listed].tolist()
        np.testing.assert_allclose(score[user], scores[user, listed], rtol=1e-6)
    assert len(scorer.rank_users(users[:1], LOG.n_items)[0][0]) == LOG.n_items  # it itself lists all as before


def test_a_new_user_is_scored_as_one_in_training(build):
    """To the last bit where scores come from histories; for vectors, fold_in is the solver's own equation."""
    scorer = build()
    for user in (0, 1, 28):
        known = scorer.rank_users(np.array([user]), 9)
        if isinstance(scorer, HistoryScorer):
            new = scorer.rank_history(LOG.items_of(user), 9)
            np.testing.assert_array_equal(new[0], known[0])
            np.testing.assert_array_equal(new[1], known[1])
            again = scorer.rank_history(np.concatenate([LOG.items_of(user)[::-1], LOG.items_of(user)[:1]]), 9)
            np.testing.assert_array_equal(again[0], known[0])  # neither order nor repetition matters


def test_threads_and_blocks_do_not_matter(build, monkeypatch, at_threads):
    scorer, users = build(), np.arange(LOG.n_users)
    at_threads(1)
    whole = scorer.rank_users(users, 7, seen=seen_of(LOG))
    at_threads(3)
    for module, name in (("history_scorer", "_MOST"), ("top_k", "_BLOCK")):
        monkeypatch.setattr(importlib.import_module(f"multimargin.recommend.{module}"), name, 5)
    cut = scorer.rank_users(users, 7, seen=seen_of(LOG))
    np.testing.assert_array_equal(cut[0], whole[0])
    np.testing.assert_array_equal(cut[1], whole[1])


def test_same_rng_same_model(build):
    one, other = build(1), build(1)
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])


def test_no_other_randomness_is_touched(build):
    states = np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()  # noqa: NPY002
    build()
    assert (np.random.get_state()[1] == states[0]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[1])
    assert random.getstate() == states[2]


def test_saved_and_loaded_it_lists_the_same(build, tmp_path):
    model = mm.Recommender.of(build(), seen=LOG, info={"a": 1})
    model.save(tmp_path)
    again = mm.load(tmp_path)
    assert again.recommend(k=6).equals(model.recommend(k=6))
    assert again.recommend_for([1, 2, 9], 6).equals(model.recommend_for([1, 2, 9], 6))
    assert type(again.scorer) is type(model.scorer)
    assert again.info == {"a": 1}
    assert repr(again) == repr(model)


def test_export_has_vectors_or_says_that_there_are_none(build, tmp_path):
    model = mm.Recommender.of(build(), seen=LOG)
    if isinstance(model.scorer, TableScorer):
        model.export(tmp_path)
        assert np.load(tmp_path / "item_vectors.npy").shape == model.item_table.shape
        return
    with pytest.raises(mm.ArgumentError, match="export must be of a model with vectors; this one scores histories"):
        model.export(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    for ask in (lambda: model.item_table, lambda: model.similarity, lambda: model.fold_in([1])):
        with pytest.raises(mm.ArgumentError, match="come from a model with vectors"):
            ask()


def test_a_history_must_hold_something(build):
    with pytest.raises(mm.ArgumentError, match="history must hold at least one item"):
        mm.Recommender.of(build(), seen=LOG).recommend_for([], 3)


def test_similar_items_and_users(build):
    model = mm.Recommender.of(build(), seen=LOG)
    if not _compares(model):
        with pytest.raises(mm.ArgumentError, match="similar_items must come from a model that compares items"):
            model.similar_items([1], 3)
    else:
        found = model.similar_items([1, 2], 3)
        assert found.columns == ["item_id", "similar_item_id", "score", "rank"]
        assert (found["item_id"] != found["similar_item_id"]).all()
        assert len(found) == 6
    found = model.similar_users([2, 4], 3)
    assert (found["user_id"] != found["similar_user_id"]).all()
    assert len(found) == 6


def _compares(model):
    weights = getattr(model.scorer, "weights", None)
    return weights is None or np.count_nonzero(weights if isinstance(weights, np.ndarray) else weights.data)


def test_evaluated_as_its_lists_say(build):
    train, _, test = LOG.split(mm.RandomPerUser(valid=0.0, test=0.3), rng=0)
    model = mm.Recommender.of(build(log=train), seen=train)
    recall = mm.evaluate(model, test, k=5)["Recall@5"]
    lists = model.recommend(k=5)
    expected = []
    for user in np.flatnonzero(test.user_counts):
        listed = set(lists.filter(user_id=int(user))["item_id"])
        expected.append(len(listed & set(test.items_of(user).tolist())) / test.user_counts[user])
    assert recall == pytest.approx(np.mean(expected))


def test_weights_of_interactions_do_not_matter(build):
    weighted = mm.Interactions.from_pairs(
        LOG.user_index, LOG.indices, LOG.users, LOG.items, weights=np.random.default_rng(0).random(len(LOG)) + 0.5
    )
    np.testing.assert_array_equal(
        build(log=weighted).rank_users(np.arange(5), 9)[1], build().rank_users(np.arange(5), 9)[1]
    )


def test_histories_take_rows_in_any_order():
    taken = Histories.of(LOG).take(np.array([4, 3, 4, 0]))
    rows = [taken.indices[taken.indptr[n] : taken.indptr[n + 1]].tolist() for n in range(4)]
    assert rows == [LOG.items_of(user).tolist() for user in (4, 3, 4, 0)]
