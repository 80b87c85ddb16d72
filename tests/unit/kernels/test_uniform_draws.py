"""Uniform draws: compiled equals the NumPy definition to the last bit, and that equals counting by hand."""

import numpy as np
import pytest

from multimargin.errors import ArgumentError
from multimargin.kernels.draws import below_reference, bits_reference
from multimargin.kernels.uniform_draws import uniform_draws
from multimargin.kernels.uniform_draws.cpu import unseen_item


def seen_lists(n_users=29, n_items=101, seed=0):
    """Return (indptr, indices) of users with none, all but one (first, last, middle), and random items."""
    rng = np.random.default_rng(seed)
    lists = [np.flatnonzero(rng.random(n_items) < rng.random()) for _ in range(n_users)]
    lists[0] = np.empty(0, dtype=np.int64)
    for user, left in ((1, 0), (2, n_items - 1), (3, 50)):
        lists[user] = np.delete(np.arange(n_items), left)
    indptr = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    return indptr, np.concatenate(lists).astype(np.int32)


NOTHING = np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int32)


@pytest.mark.parametrize("seen", [seen_lists(), NOTHING], ids=["unseen", "all"])
@pytest.mark.parametrize(("key", "offset", "n"), [(0, 0, 1), (2019, 37, 13), (2**64 - 1, 2**50, 7)])
def test_compiled_equals_reference(seen, key, offset, n):
    users = np.random.default_rng(1).integers(0, 29, 53)
    arguments = {"key": key, "offset": offset, "n_items": 101, "indptr": seen[0], "indices": seen[1]}
    compiled = uniform_draws(users, n, **arguments, impl="cpu")
    reference = uniform_draws(users, n, **arguments, impl="reference")
    assert compiled.dtype == reference.dtype == np.int64
    np.testing.assert_array_equal(compiled, reference)
    np.testing.assert_array_equal(compiled, uniform_draws(users, n, **arguments))


def test_reference_is_the_list_of_unseen_items_at_a_random_place():
    indptr, indices = seen_lists()
    users = np.arange(29)
    drawn = uniform_draws(users, 5, key=9, offset=4, n_items=101, indptr=indptr, indices=indices, impl="reference")
    for row, user in enumerate(users):
        unseen = sorted(set(range(101)) - set(indices[indptr[user] : indptr[user + 1]].tolist()))
        for column in range(5):
            counter = np.array([(4 + row) * 5 + column], dtype=np.uint64)
            place = below_reference(bits_reference(9, counter), np.uint64(len(unseen)))[0]
            assert drawn[row, column] == unseen[place]


def test_the_last_item_left_is_found():
    indptr, indices = seen_lists()
    drawn = uniform_draws(np.array([1, 2, 3]), 9, key=1, offset=0, n_items=101, indptr=indptr, indices=indices)
    assert drawn.tolist() == [[0] * 9, [100] * 9, [50] * 9]


def test_unseen_item_counts_past_the_seen():
    seen = np.array([0, 1, 4, 6, 7], dtype=np.int32)
    assert [unseen_item(rank, seen) for rank in range(5)] == [2, 3, 5, 8, 9]


def test_threads_do_not_matter(at_threads):
    indptr, indices = seen_lists()
    users = np.random.default_rng(2).integers(0, 29, 200)
    arguments = {"key": 5, "offset": 0, "n_items": 101, "indptr": indptr, "indices": indices}
    at_threads(1)
    one = uniform_draws(users, 11, **arguments)
    for count in (2, 3):
        at_threads(count)
        np.testing.assert_array_equal(one, uniform_draws(users, 11, **arguments))


def test_a_batch_may_be_empty():
    assert uniform_draws(
        np.empty(0, dtype=np.int64), 3, key=1, offset=0, n_items=4, indptr=NOTHING[0], indices=NOTHING[1]
    ).shape == (0, 3)


@pytest.mark.parametrize(
    ("changes", "message"), [({"n": 0}, "n must be 1 or more"), ({"n_items": 0}, "n_items must be")]
)
def test_a_broken_argument_is_named(changes, message):
    arguments = {"n": 3, "key": 1, "offset": 0, "n_items": 4, "indptr": NOTHING[0], "indices": NOTHING[1]} | changes
    with pytest.raises(ArgumentError, match=message):
        uniform_draws(np.zeros(2, dtype=np.int64), **arguments)
