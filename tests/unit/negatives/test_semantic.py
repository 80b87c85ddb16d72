"""Neighbours by text, the adapter that learns behaviour, and draws, against plain loops."""

import numpy as np
import polars as pl
import pytest
import scipy.stats

from multimargin.data.interactions import Interactions
from multimargin.data.item_vectors import write_item_vectors
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import ArgumentError, NoNegativesError
from multimargin.negatives import InterpolatedNegatives, RankFilteredNegatives, SemanticNegatives
from multimargin.negatives.adapter import adapted, collaborative_vectors
from multimargin.negatives.vectors import neighbours
from multimargin.rng import CounterRng


def vectors(n, seed=1, dim=3):
    found = np.random.default_rng(seed).standard_normal((n, dim))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def built(train, *arguments, **options):
    sampler = SemanticNegatives(*arguments, **options)
    sampler.build(train)
    return sampler


def nearest_by_hand(points, item, skipped, kept):
    order = sorted((j for j in range(len(points)) if j != item), key=lambda j: (-float(points[item] @ points[j]), j))
    return order[skipped : skipped + kept]


class TestNeighbours:
    @pytest.mark.parametrize(("skipped", "kept"), [(0, 1), (0, 5), (3, 4), (0, 29), (9, 20)])
    def test_are_those_of_a_loop(self, skipped, kept, monkeypatch):
        points = vectors(30)
        monkeypatch.setattr("multimargin.negatives.vectors._BLOCK", 7 * 30)  # in blocks that do not divide
        index, products = neighbours(points, skipped, kept)
        for item in range(30):
            assert index[item].tolist() == nearest_by_hand(points, item, skipped, kept)
            np.testing.assert_allclose(products[item], points[index[item]] @ points[item], atol=1e-6)

    def test_of_equals_the_lower_index_comes_first(self):
        points = np.zeros((9, 2), np.float32)
        points[[2, 5, 7]] = [0.0, 1.0]
        points[3] = [0.0, -1.0]
        index, products = neighbours(points, 0, 4)
        assert index[5].tolist() == [2, 7, 0, 1]
        assert index[3].tolist() == [0, 1, 4, 6]
        assert index[0].tolist() == [1, 2, 3, 4]
        assert products[5].tolist() == [1, 1, 0, 0]


class TestAdapter:
    def test_vectors_of_behaviour_are_those_of_a_whole_decomposition(self, small):
        matrix = np.zeros((small.n_users, small.n_items))
        for user, item in zip(small.user_index, small.indices, strict=True):
            matrix[user, item] = 1 / np.sqrt(len(small.items_of(user)) * small.item_counts[item])
        _, singular, directions = np.linalg.svd(matrix, full_matrices=False)
        for rank in (1, 3, 50):
            expected = directions[:rank].T * singular[:rank]
            expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12)
            found = collaborative_vectors(small, rank)
            np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-4)  # signs are nobody's

    def test_an_item_nobody_has_is_nowhere(self):
        train = Interactions.from_pairs([0, 0, 1], [0, 2, 2], Vocabulary.range(2), Vocabulary.range(4))
        found = collaborative_vectors(train, 2)
        assert np.linalg.norm(found, axis=1).round(5).tolist() == [1, 0, 1, 0]

    def test_is_the_ridge_with_the_least_error_left_out(self, small):
        texts = vectors(small.n_items, seed=5, dim=4)
        goal = collaborative_vectors(small, 3).astype(np.float64)
        weight = small.item_counts / len(small)
        x, y = texts - weight @ texts, goal - weight @ goal
        gram = sum(w * np.outer(row, row) for w, row in zip(weight, x, strict=True))
        scale = np.trace(gram) / 4

        def solved(ridge, without=None):
            kept = [i for i in range(len(x)) if i != without]
            left = sum(weight[i] * np.outer(x[i], x[i]) for i in kept) + ridge * scale * np.eye(4)
            right = sum(weight[i] * np.outer(x[i], y[i]) for i in kept)
            return np.linalg.solve(left, right)

        def error(ridge):  # an item is left out of the fit, not of the means
            return sum(weight[i] * np.sum((y[i] - x[i] @ solved(ridge, i)) ** 2) for i in range(len(x)) if weight[i])

        best = min((10.0 ** (k / 2) for k in range(-8, 7)), key=error)
        expected = x @ solved(best)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(adapted(texts, small, 3), expected, atol=2e-4)

    def test_tells_behaviour_where_texts_do(self):
        rng = np.random.default_rng(0)
        users, items = np.nonzero(
            rng.random((60, 40)) < np.where(np.arange(40) % 2 == np.arange(60)[:, None] % 2, 0.4, 0.02)
        )
        train = Interactions.from_pairs(users, items, Vocabulary.range(60), Vocabulary.range(40))
        texts = rng.standard_normal((40, 6)) * [0.1, 1, 1, 1, 1, 1]  # what tells is the smallest of what texts say
        texts[:, 0] += 0.4 * (-1.0) ** np.arange(40)
        texts = (texts / np.linalg.norm(texts, axis=1, keepdims=True)).astype(np.float32)
        same = np.equal.outer(np.arange(40) % 2, np.arange(40) % 2)

        def alike(points):
            products = points @ points.T
            return products[same].mean() - products[~same].mean()

        assert alike(adapted(texts, train, 4)) > 4 * alike(texts)

    def test_maps_items_nobody_has_and_leaves_those_without_text(self, small):
        texts = vectors(small.n_items)
        texts[4] = 0
        kept = Interactions.from_pairs(
            small.user_index[small.indices != 6], small.indices[small.indices != 6], small.users, small.items
        )
        found = np.linalg.norm(adapted(texts, kept, 3), axis=1)
        assert found[6] == pytest.approx(1, abs=1e-5)
        assert found[4] == 0

    def test_of_no_interactions_is_still_finite(self):
        train = Interactions.from_pairs([], [], Vocabulary.range(2), Vocabulary.range(4))
        assert np.isfinite(adapted(vectors(4), train, 2)).all()


def law_by_hand(train, points, user, positive, hard, nearest, skipped, temperature):
    law = np.zeros(train.n_items)
    unseen = [j for j in range(train.n_items) if j not in set(train.items_of(user).tolist())]
    near = [j for j in nearest_by_hand(points, positive, skipped, nearest) if j in unseen]
    share = hard if near else 0.0
    weight = {j: np.exp(float(points[positive] @ points[j]) / temperature) for j in near}
    for j in near:
        law[j] += share * weight[j] / sum(weight.values())
    for j in unseen:
        law[j] += (1 - share) / len(unseen)
    return law


class TestDraws:
    @pytest.mark.parametrize(
        ("hard", "nearest", "skipped", "temperature"),
        [(0.5, 6, 2, 0.1), (1.0, 9, 0, 1.0), (0.2, 3, 5, 0.02), (0, 5, 1, 1)],
    )
    def test_follow_the_law_by_hand(self, small, hard, nearest, skipped, temperature):
        points = vectors(small.n_items)
        options = {"hard": hard, "nearest": nearest, "skipped": skipped, "temperature": temperature}
        sampler = built(small, points, rank=0, **options)
        for user, positive in ((5, 2), (1, 0), (0, 7), (3, 22)):
            law = law_by_hand(small, points, user, positive, **options)
            asked = np.array([user]), np.array([positive])
            np.testing.assert_allclose(sampler.probabilities(asked[0], positives=asked[1])[0], law, atol=1e-5)
            drawn = sampler.sample(np.repeat(asked[0], 500), np.repeat(asked[1], 500), 100, rng=CounterRng(11))
            counts = np.bincount(drawn.index.ravel(), minlength=small.n_items)
            assert counts[law == 0].sum() == 0
            if (law > 0).sum() > 1:
                assert scipy.stats.chisquare(counts[law > 0], law[law > 0] * counts.sum()).pvalue > 1e-4

    def test_seen_items_may_be_drawn_where_asked_for_but_not_the_positive_as_a_hard_one(self, small):
        sampler = built(small, vectors(small.n_items), hard=1.0, exclude_seen=False, rank=0, temperature=10.0)
        drawn = sampler.sample(np.full(50, 1), np.full(50, 4), 50, rng=CounterRng(3)).index
        assert set(drawn.ravel().tolist()) == set(range(small.n_items)) - {4}

    def test_whoever_has_all_of_the_nearest_gets_uniform_draws(self, small):
        sampler = built(small, vectors(small.n_items), hard=1.0, nearest=2, skipped=0, rank=0)
        law = sampler.probabilities(np.array([1]), positives=np.array([0]))[0]
        assert law.tolist() == [float(j == 17) for j in range(small.n_items)]

    def test_the_band_keeps_its_width_before_its_distance(self, small):
        sampler = built(small, vectors(small.n_items), nearest=20, skipped=9, rank=0)
        assert sampler._near.shape == (23, 20)
        assert sampler._near[3].tolist() == nearest_by_hand(vectors(small.n_items), 3, 2, 20)
        assert built(small, vectors(small.n_items), nearest=90, skipped=9, rank=0)._near.shape == (23, 22)

    def test_a_single_item_is_no_error(self):
        train = Interactions.from_pairs([0], [0], Vocabulary.range(2), Vocabulary.range(1))
        sampler = built(train, np.ones((1, 3)))
        assert sampler.sample(np.array([1]), np.array([0]), 3, rng=CounterRng(1)).index.tolist() == [[0, 0, 0]]

    def test_the_adapter_is_used_unless_its_rank_is_0(self, small):
        points = vectors(small.n_items)
        users, positives = np.array([5, 2]), np.array([0, 7])
        for rank, expected in ((0, points), (3, adapted(points, small, 3))):
            sampler = built(small, points, hard=0.5, nearest=4, skipped=1, rank=rank)
            by_hand = [
                law_by_hand(small, expected, u, i, 0.5, 4, 1, 0.1) for u, i in zip(users, positives, strict=True)
            ]
            np.testing.assert_allclose(sampler.probabilities(users, positives=positives), by_hand, atol=1e-4)

    def test_without_vectors_behaviour_stands_in(self, small):
        sampler = built(small, hard=0.5, nearest=4, skipped=1, rank=3)
        by_hand = law_by_hand(small, collaborative_vectors(small, 3), 5, 2, 0.5, 4, 1, 0.1)
        np.testing.assert_allclose(sampler.probabilities(np.array([5]), positives=np.array([2]))[0], by_hand, atol=1e-5)

    def test_vectors_come_by_id(self, small, tmp_path):
        points = vectors(small.n_items)
        order = np.random.default_rng(2).permutation(small.n_items)
        write_item_vectors(tmp_path / "v.parquet", small.items.series.gather(order), points[order])
        users, positives = np.array([5, 2]), np.array([0, 7])
        by_id, by_row = (built(small, each) for each in (str(tmp_path / "v.parquet"), points))
        np.testing.assert_array_equal(
            by_id.probabilities(users, positives=positives), by_row.probabilities(users, positives=positives)
        )

    def test_is_a_law_for_those_that_take_one(self, small):
        for make in (RankFilteredNegatives, InterpolatedNegatives):
            sampler = make(law=SemanticNegatives(vectors(small.n_items)))
            sampler.build(small)
            scores = {"scorer": lambda users, items: np.zeros(items.shape, np.float32)} if sampler.needs else {}
            drawn = sampler.sample(np.array([5, 4]), np.array([0, 3]), 6, rng=CounterRng(2), **scores)
            assert len(drawn.index) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hard": 1.1}, "hard must be at least 0 and at most 1"),
        ({"nearest": 0}, "nearest must be 1 or more"),
        ({"skipped": -1}, "skipped must be 0 or more"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"rank": -1}, "rank must be 0 or more"),
        ({"rank": 0}, "rank must be 1 or more without item_vectors"),
    ],
)
def test_broken_arguments_are_named(options, message):
    with pytest.raises(ArgumentError, match=message):
        SemanticNegatives(**options)


def test_vectors_of_other_items_are_an_error(small):
    with pytest.raises(ArgumentError, match="item_vectors must be one row for each of 23 items"):
        built(small, np.ones((22, 3)))


def test_must_be_built_and_leave_something_to_draw(small):
    with pytest.raises(ArgumentError, match="must be built"):
        SemanticNegatives().sample(np.array([5]), np.array([0]), 2, rng=CounterRng(1))
    full = Interactions.from_pairs(
        np.append(small.user_index, 1), np.append(small.indices, 17), small.users, small.items
    )
    with pytest.raises(NoNegativesError, match="user-1"):
        built(full).sample(np.array([1]), np.array([0]), 2, rng=CounterRng(1))


def test_parquet_of_polars_lists_is_taken_too(small, tmp_path):
    points = vectors(small.n_items)
    pl.DataFrame({"vector": points.tolist(), "id": small.items.series}).write_parquet(tmp_path / "v.parquet")
    users, positives = np.array([5]), np.array([2])
    laws = [built(small, each).probabilities(users, positives=positives) for each in (tmp_path / "v.parquet", points)]
    np.testing.assert_allclose(laws[0], laws[1], atol=1e-5)
