"""Hard samplers against plain loops over their pools."""

import math

import numpy as np
import pytest

from multimargin.errors import ArgumentError
from multimargin.negatives import (
    AdaptiveSoftmaxNegatives,
    AllNegatives,
    DynamicNegatives,
    PreferenceNegatives,
    SharedNegatives,
    UniformNegatives,
)
from multimargin.negatives.candidates import draw_by_weight
from multimargin.rng import CounterRng

USERS, POSITIVES = np.array([5, 2, 0, 5, 1]), np.array([1, 4, 7, 9, 2])


def scorer(users, items):
    """Return scores that no two pairs share."""
    items = np.broadcast_to(items, (len(users), items.shape[-1]))
    return np.sin(users[:, None] * 12.9898 + items * 78.233).astype(np.float32)


def sample(sampler, train, n):
    sampler.build(train)
    return sampler.sample(USERS, POSITIVES, n, rng=CounterRng(3, 20), scorer=scorer)


def pool_of(law, train, size):
    law.build(train)
    drawn = law.sample(USERS, POSITIVES, size, rng=CounterRng(3, 20))
    index = np.broadcast_to(drawn.index, (len(USERS), size))
    return index, np.ones(index.shape, bool) if drawn.mask is None else drawn.mask


@pytest.mark.parametrize("make", [UniformNegatives, lambda: SharedNegatives(exclude_seen=True)])
@pytest.mark.parametrize(("size", "top", "n"), [(7, 1, 5), (7, 3, 6), (4, 4, 4), (1, 1, 3)])
def test_the_best_of_each_pool(small, make, size, top, n):
    found = sample(DynamicNegatives(size, top, law=make()), small, n)
    pool, counts = pool_of(make(), small, n // top * size)
    scores = scorer(USERS, pool)
    for row in range(len(USERS)):
        expected = []
        for start in range(0, n // top * size, size):
            places = [place for place in range(start, start + size) if counts[row, place]]
            best = sorted(places, key=lambda place: -scores[row, place])[:top]
            expected += [int(pool[row, place]) for place in best] + [None] * (top - len(best))
        kept = found.index[row].tolist()
        if found.mask is not None:
            kept = [item if each else None for item, each in zip(kept, found.mask[row], strict=True)]
        assert kept == expected


def test_of_a_pool_of_one_is_the_law_itself(small):
    found = sample(DynamicNegatives(1), small, 9)
    expected, _ = pool_of(UniformNegatives(exclude_seen=True), small, 9)
    np.testing.assert_array_equal(found.index, expected)


def shares_by_loop(sampler, scores, positive):
    if isinstance(sampler, PreferenceNegatives):
        weights = [math.exp(score / sampler.temperature) for score in scores]
    else:
        z = [math.log(1 + math.exp(score - positive)) for score in scores]
        mean = sum(z) / len(z)
        tau = math.sqrt(sum((each - mean) ** 2 for each in z) / len(z) / (2 * sampler.rho))
        weights = [math.exp(each / (tau or 1.0)) for each in z]  # one item all over has no spread
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("sampler", [PreferenceNegatives(0.5, 6), AdaptiveSoftmaxNegatives(0.3, 6)])
def test_candidates_are_drawn_by_their_shares(small, sampler):
    found = sample(sampler, small, 40_000)
    pool, _ = pool_of(UniformNegatives(exclude_seen=True), small, 6)
    scores, positives = scorer(USERS, pool), scorer(USERS, POSITIVES[:, None])
    for row in range(len(USERS)):
        expected = np.zeros(small.n_items)
        shares = shares_by_loop(sampler, scores[row].tolist(), float(positives[row, 0]))
        for item, share in zip(pool[row], shares, strict=True):
            expected[item] += share
        counts = np.bincount(found.index[row], minlength=small.n_items) / 40_000
        assert np.abs(counts - expected).max() < 0.01


@pytest.mark.parametrize("make", [PreferenceNegatives, AdaptiveSoftmaxNegatives])
def test_candidates_that_do_not_count_are_not_drawn(small, make):
    found = sample(make(pool_size=30, law=SharedNegatives(exclude_seen=True)), small, 50)
    counted = np.ones((5, 50), bool) if found.mask is None else found.mask
    assert counted[:4].all()
    for user, row, each in zip(USERS, found.index, counted, strict=True):
        assert not set(row[each].tolist()) & set(small.items_of(int(user)).tolist())


def test_draws_by_weight_do_not_depend_on_the_row(small):
    weights = np.random.default_rng(0).random((50, 7))
    whole = draw_by_weight(weights, 9, CounterRng(1, 0))
    np.testing.assert_array_equal(whole[20:], draw_by_weight(weights[20:], 9, CounterRng(1, 20)))
    certain = np.zeros((3, 5))
    certain[[0, 1, 2], [0, 4, 2]] = 1e-20
    assert (draw_by_weight(certain, 100, CounterRng(2)) == [[0], [4], [2]]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DynamicNegatives(0), "pool_size must be 1 or more"),
        (lambda: DynamicNegatives(4, 5), "top must be at most pool_size=4"),
        (lambda: DynamicNegatives(law=AllNegatives()), "law must draw items without a look at the model"),
        (lambda: DynamicNegatives(law=DynamicNegatives()), "law must draw items without a look at the model"),
        (lambda: PreferenceNegatives(0.0), "temperature must be above 0"),
        (lambda: AdaptiveSoftmaxNegatives(-1.0), "rho must be above 0"),
    ],
)
def test_broken_arguments_are_named(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_n_is_a_multiple_of_top(small):
    with pytest.raises(ArgumentError, match="n_negatives must be a multiple of top=3; got 7"):
        sample(DynamicNegatives(8, 3), small, 7)
