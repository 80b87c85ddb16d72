"""The truth behind made-up data, and that it is one."""

import numpy as np
import pytest

from multimargin.data import RandomPerUser
from multimargin.data.synthetic import make_blocks, make_synthetic
from multimargin.errors import ArgumentError


def recall(lists, test):
    found = [len(set(row.tolist()) & set(test.items_of(user).tolist())) for user, row in enumerate(lists)]
    return np.mean([hits / count for hits, count in zip(found, test.user_counts, strict=True) if count])


def test_shape_ids_and_seed():
    data = make_synthetic(300, 200, mean_interactions=20, rng=1)
    assert (data.interactions.n_users, data.interactions.n_items) == (300, 200)
    assert data.interactions.users.series[17] == "user-0017"
    assert all(name.endswith(f"-{index:04d}") for index, name in enumerate(data.interactions.items.series))
    assert data.interactions.n_duplicates == 0
    assert data.interactions.user_counts.min() >= 2
    assert 17 < data.interactions.user_counts.mean() < 23
    again = make_synthetic(300, 200, mean_interactions=20, rng=1)
    assert again.interactions.fingerprint == data.interactions.fingerprint
    assert (
        make_synthetic(300, 200, mean_interactions=20, rng=2).interactions.fingerprint != data.interactions.fingerprint
    )


def test_scores_are_the_products_of_the_factors():
    data = make_synthetic(50, 40, rng=0)
    assert data.scores().shape == (50, 40)
    assert data.scores(np.array([3]))[0, 5] == pytest.approx(
        float(data.user_factors[3] @ data.item_factors[5]), rel=1e-5
    )


def test_best_lists_by_a_plain_loop():
    data = make_synthetic(600, 60, mean_interactions=10, rng=3)
    train, _, _ = data.interactions.split(RandomPerUser(0, 0.3))
    lists = data.best_lists(7, seen=train)
    for user in range(0, 600, 37):
        scores = data.scores(np.array([user]))[0]
        unseen = [item for item in range(60) if item not in set(train.items_of(user).tolist())]
        assert lists[user].tolist() == sorted(unseen, key=lambda item: -scores[item])[:7]


def test_nothing_beats_the_truth_and_popularity_is_far_below():
    data = make_synthetic(600, 300, mean_interactions=30, rng=0)
    train, _, test = data.interactions.split(RandomPerUser(0, 0.2))
    best = recall(data.best_lists(20, seen=train), test)
    scores = np.tile(train.item_counts.astype(float), (600, 1))
    scores[train.user_index, train.indices] = -1
    popular = recall(np.argsort(-scores, axis=1)[:, :20], test)
    noisy = data.scores() + np.random.default_rng(0).normal(size=(600, 300))
    noisy[train.user_index, train.indices] = -np.inf
    assert best > recall(np.argsort(-noisy, axis=1)[:, :20], test) > popular
    assert best > 1.5 * popular


def test_draws_follow_the_scores():
    data = make_synthetic(40_000, 5, mean_interactions=1.0, taste_strength=0.0, popularity_exponent=1.0, rng=0)
    assert (data.interactions.user_counts == 2).all()
    chance = np.exp(data.item_factors[:, -1].astype(float))
    chance /= chance.sum()
    # two draws without replacement: first this item, or first another one and then this
    expected = [
        p + sum(q * p / (1 - q) for other, q in enumerate(chance) if other != item) for item, p in enumerate(chance)
    ]
    assert data.interactions.item_counts / 40_000 == pytest.approx(expected, abs=5 * 0.5 / np.sqrt(40_000))


@pytest.mark.parametrize("held_out", [1, 3])
def test_blocks_hold_back_what_completes_the_block(held_out):
    train, valid, test = make_blocks(3, 10, 6, held_out=held_out, rng=4)
    assert valid is None
    assert (train.n_users, train.n_items) == (30, 18)
    for user in range(30):
        own = set(range(user // 10 * 6, user // 10 * 6 + 6))
        assert set(train.items_of(user).tolist()) | set(test.items_of(user).tolist()) == own
        assert len(test.items_of(user)) == held_out
        assert not set(train.items_of(user).tolist()) & set(test.items_of(user).tolist())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_synthetic(0), "n_users must be 1 or more"),
        (lambda: make_synthetic(5, 1), "n_items must be 2 or more"),
        (lambda: make_synthetic(mean_interactions=0), "mean_interactions must be above 0"),
        (lambda: make_blocks(1), "n_blocks must be 2 or more"),
        (lambda: make_blocks(2, 2, 3, held_out=3), "items_per_block must be 4 or more"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_k_more_than_items():
    data = make_synthetic(5, 10)
    with pytest.raises(ArgumentError, match="k must be at most the number of items, 10; got 11"):
        data.best_lists(11, seen=data.interactions)
