"""Draws by weight: compiled equals the definition to the last bit, and that is the law of the weights."""

import numpy as np
import pytest
import scipy.stats

from multimargin.errors import ArgumentError
from multimargin.kernels.weighted_draws import weighted_draws, weighted_items
from multimargin.kernels.weighted_draws.cpu import high_word

NOTHING = np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int32)


def seen_lists(n_users=29, n_items=101, seed=0):
    """Return (indptr, indices) of users with none, all but one (first, last, middle), and random items."""
    rng = np.random.default_rng(seed)
    lists = [np.flatnonzero(rng.random(n_items) < rng.random()) for _ in range(n_users)]
    lists[0] = np.empty(0, dtype=np.int64)
    for user, left in ((1, 0), (2, n_items - 1), (3, 50)):
        lists[user] = np.delete(np.arange(n_items), left)
    indptr = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    return indptr, np.concatenate(lists).astype(np.int32)


def steep(n_items=101, seed=3):
    """Return weights over ten powers of ten, some 0; those of items 0, 50 and 100 are not."""
    rng = np.random.default_rng(seed)
    weights = 10 ** rng.uniform(-5, 5, n_items)
    weights[rng.random(n_items) < 0.2] = 0
    weights[[0, 50, 100]] = 1e-3
    return weights


@pytest.mark.parametrize("seen", [seen_lists(), NOTHING], ids=["unseen", "all"])
@pytest.mark.parametrize("weights", [steep(), np.ones(101), np.eye(101).sum(0) * 1e-30], ids=["steep", "flat", "tiny"])
@pytest.mark.parametrize(("key", "offset", "n"), [(0, 0, 1), (2019, 37, 13), (2**64 - 1, 2**50, 7)])
def test_compiled_equals_reference(seen, weights, key, offset, n):
    items = weighted_items(weights, *seen)
    users = np.random.default_rng(1).integers(0, 29, 53)
    compiled = weighted_draws(users, n, key=key, offset=offset, items=items, impl="cpu")
    reference = weighted_draws(users, n, key=key, offset=offset, items=items, impl="reference")
    assert compiled.dtype == reference.dtype == np.int64
    np.testing.assert_array_equal(compiled, reference)
    np.testing.assert_array_equal(compiled, weighted_draws(users, n, key=key, offset=offset, items=items))


def test_the_last_item_left_is_found():
    items = weighted_items(steep(), *seen_lists())
    drawn = weighted_draws(np.array([1, 2, 3]), 9, key=1, offset=0, items=items)
    assert drawn.tolist() == [[0] * 9, [100] * 9, [50] * 9]


def test_whole_weights_are_the_weights():
    weights = steep()
    whole = weighted_items(weights, *NOTHING).weights
    np.testing.assert_allclose(whole / whole.sum(), weights / weights.sum(), rtol=1e-4, atol=1e-15)
    assert ((whole > 0) == (weights > 0)).all()


@pytest.mark.parametrize("user", [0, 7, 20])
def test_draws_follow_the_weights_of_the_unseen(user):
    indptr, indices = seen_lists()
    weights = np.sqrt(np.arange(101.0))
    items = weighted_items(weights, indptr, indices)
    law = weights.copy()
    law[indices[indptr[user] : indptr[user + 1]]] = 0
    counts = np.bincount(weighted_draws(np.full(1000, user), 100, key=5, offset=0, items=items).ravel(), minlength=101)
    assert counts[law == 0].sum() == 0
    assert scipy.stats.chisquare(counts[law > 0], law[law > 0] / law.sum() * counts.sum()).pvalue > 1e-4


def test_high_word_is_that_of_the_product():
    rng = np.random.default_rng(0)
    for a, b in [*rng.integers(0, 2**64, (200, 2), dtype=np.uint64), np.array([2**64 - 1, 2**64 - 1], dtype=np.uint64)]:
        assert int(high_word(a, b)) == (int(a) * int(b)) >> 64


def test_threads_do_not_matter(at_threads):
    items = weighted_items(steep(), *seen_lists())
    users = np.random.default_rng(2).integers(0, 29, 200)
    at_threads(1)
    one = weighted_draws(users, 11, key=5, offset=0, items=items)
    for count in (2, 3):
        at_threads(count)
        np.testing.assert_array_equal(one, weighted_draws(users, 11, key=5, offset=0, items=items))


def test_a_batch_may_be_empty():
    items = weighted_items(np.ones(4), *NOTHING)
    assert weighted_draws(np.empty(0, dtype=np.int64), 3, key=1, offset=0, items=items).shape == (0, 3)


def test_a_broken_argument_is_named():
    with pytest.raises(ArgumentError, match="n must be 1 or more"):
        weighted_draws(np.zeros(2, dtype=np.int64), 0, key=1, offset=0, items=weighted_items(np.ones(4), *NOTHING))
