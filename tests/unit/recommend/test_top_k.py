"""The lists are exactly those of sorting every score, whatever the screen, block or number of threads."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multimargin.errors import ArgumentError
from multimargin.kernels.screening import CHUNK, HAS_INT8
from multimargin.recommend.top_k import Catalogue, SeenItems, normalised, top_k

SCREENS = ["float32", "int8"] if HAS_INT8 else ["float32"]


def by_sorting(users, items, k, seen=None, candidates=None):
    """Score every pair in float64, round to float32, sort by (score, index), one user after the other."""
    index = np.full((len(users), k), -1)
    score = np.full((len(users), k), -np.inf, dtype=np.float32)
    for user, vector in enumerate(users):
        allowed = range(len(items)) if candidates is None else candidates.tolist()
        ranked = sorted(
            (-np.float32(vector.astype(np.float64) @ items[item].astype(np.float64)) + np.float32(0), item)
            for item in allowed
            if seen is None or item not in seen[user]
        )[:k]
        for place, (negated, item) in enumerate(ranked):
            index[user, place], score[user, place] = item, -negated
    return index, score


def compressed(seen):
    indptr = np.cumsum([0, *(len(row) for row in seen)])
    return SeenItems(indptr, np.array([item for row in seen for item in sorted(row)], dtype=np.int32))


def check(users, items, k, *, screen, seen=None, candidates=None, threads=2):
    catalogue = Catalogue(items, candidates=candidates, screen=screen)
    index, score = top_k(users, catalogue, k, seen=None if seen is None else compressed(seen), threads=threads)
    expected_index, expected_score = by_sorting(users, items, k, seen, candidates)
    assert index.dtype == np.int32
    assert score.dtype == np.float32
    np.testing.assert_array_equal(score, expected_score)
    np.testing.assert_array_equal(index, expected_index)


@settings(max_examples=60, deadline=None)
@given(
    n_users=st.sampled_from([0, 1, 2, 7, 127, 521]),
    n_items=st.sampled_from([1, 2, 63, 64, 65, 257, 2053]),
    dim=st.sampled_from([1, 2, 3, 17, 64]),
    k=st.sampled_from([1, 2, 5, 20, 67]),
    kind=st.sampled_from(["normal", "ties", "lengths", "zeros", "cosine"]),
    seen_share=st.sampled_from([None, 0.0, 0.1, 1.0]),
    candidate_share=st.sampled_from([None, 0.0, 0.3]),
    screen=st.sampled_from(SCREENS),
    seed=st.integers(0, 10**6),
)
@example(3, 65, 2, 67, "ties", 0.1, None, "float32", 0)
@example(521, 2053, 64, 20, "lengths", 0.1, 0.3, "float32", 0)
def test_equals_sorting(n_users, n_items, dim, k, kind, seen_share, candidate_share, screen, seed):
    rng = np.random.default_rng(seed)
    users, items = rng.standard_normal((n_users, dim)), rng.standard_normal((n_items, dim))
    if kind == "ties":
        users, items = np.rint(users), np.rint(items)
    elif kind == "lengths":
        items *= np.exp(4 * rng.standard_normal((n_items, 1)))
        users *= np.exp(4 * rng.standard_normal((n_users, 1)))
    elif kind == "zeros":
        users[::2], items[1::3] = 0, 0
    users, items = users.astype(np.float32), items.astype(np.float32)
    if kind == "cosine":
        users, items = normalised(users), normalised(items)
    seen = None
    if seen_share is not None:
        seen = [set(np.flatnonzero(rng.random(n_items) < seen_share).tolist()) for _ in range(n_users)]
    candidates = None if candidate_share is None else np.flatnonzero(rng.random(n_items) < candidate_share)
    n_checked = min(n_users, 7)  # the oracle is slow
    catalogue = Catalogue(items, candidates=candidates, screen=screen)
    index, score = top_k(users, catalogue, k, seen=None if seen is None else compressed(seen))
    chosen = rng.permutation(n_users)[:n_checked]
    expected = by_sorting(users[chosen], items, k, None if seen is None else [seen[u] for u in chosen], candidates)
    np.testing.assert_array_equal(score[chosen], expected[1])
    np.testing.assert_array_equal(index[chosen], expected[0])


@pytest.mark.parametrize("screen", SCREENS)
def test_equal_scores_go_by_lower_item_index(screen):
    items = np.repeat(np.eye(2, dtype=np.float32), 300, axis=0)[::-1].copy()  # 300 x (0, 1), then 300 x (1, 0)
    check(np.array([[1.0, 0.5], [0.0, 1.0]], dtype=np.float32), items, 7, screen=screen)


@pytest.mark.parametrize("screen", SCREENS)
def test_negative_and_minus_zero_scores_are_ordered(screen):
    items = np.array([[-1.0], [-2.0], [0.0], [-0.0], [1e-30]], dtype=np.float32)
    check(np.array([[1.0], [-1.0], [0.0]], dtype=np.float32), items, 5, screen=screen)


@pytest.mark.parametrize("screen", SCREENS)
def test_one_dominant_entry_does_not_mislead_the_screen(screen):
    rng = np.random.default_rng(0)
    items = rng.standard_normal((500, 16)).astype(np.float32) * 1e-3
    items[rng.integers(500, size=40), 3] = 1.0  # int8 steps as coarse as they get
    check(rng.standard_normal((5, 16)).astype(np.float32), items, 10, screen=screen)


@pytest.mark.parametrize("screen", SCREENS)
def test_nearly_equal_scores_are_told_apart(screen):
    rng = np.random.default_rng(1)
    items = (rng.standard_normal(32) + 1e-6 * rng.standard_normal((700, 32))).astype(np.float32)
    check(rng.standard_normal((9, 32)).astype(np.float32), items, 20, screen=screen)


@pytest.mark.parametrize("screen", SCREENS)
def test_directions_closer_than_the_screen_can_see(screen):
    """3,000 directions in a plane: neighbours differ by far less than an int8 step, only the error bound helps."""
    angles = np.random.default_rng(3).uniform(0, 2 * np.pi, 3_400)
    table = normalised(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))
    users, items = table[3_000:], table[:3_000]
    scores = (users.astype(np.float64) @ items.astype(np.float64).T).astype(np.float32)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :20]
    np.testing.assert_array_equal(top_k(users, Catalogue(items, screen=screen), 20)[0], expected)


def test_same_bits_for_any_number_of_threads_and_any_company():
    rng = np.random.default_rng(2)
    users, items = rng.standard_normal((1300, 24), dtype=np.float32), rng.standard_normal((5000, 24), dtype=np.float32)
    index, score = top_k(users, items, 10, threads=1)
    for threads in (2, 4):
        again = top_k(users, items, 10, threads=threads)
        np.testing.assert_array_equal(again[0], index)
        np.testing.assert_array_equal(again[1], score)
    alone = top_k(users[123:124], Catalogue(items, screen="float32"), 10)
    np.testing.assert_array_equal(alone[0][0], index[123])
    np.testing.assert_array_equal(alone[1][0], score[123])


def test_rows_say_whose_seen_items():
    items = np.array([[3.0], [2.0], [1.0]], dtype=np.float32)
    seen = SeenItems(np.array([0, 1, 3]), np.array([0, 0, 1], dtype=np.int32), rows=np.array([1, 0, 1]))
    index, _ = top_k(np.ones((3, 1), dtype=np.float32), items, 2, seen=seen)
    assert index.tolist() == [[2, -1], [1, 2], [2, -1]]


def test_arguments_stay_untouched_and_may_be_read_only():
    users, items = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    for array in (users, items):
        array.setflags(write=False)
    assert top_k(users, items, 1)[0].ravel().tolist() == [0, 1, 2]


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("k", [1, 20, CHUNK - 5, CHUNK, CHUNK + 1, 1290])
def test_seen_items_do_not_raise_the_first_limit(screen, k):
    """The sampled chunks hold a user's best items, and the user has seen these: all, most, or but one of them."""
    rng = np.random.default_rng(4)
    items = normalised(rng.standard_normal((20 * CHUNK + 10, 12)).astype(np.float32))
    sampled = np.flatnonzero(Catalogue(items, screen=screen).sampled)
    assert len(sampled) == 2 * CHUNK
    items[sampled] *= np.float32(0.99)  # among the longest still, and in the same places
    users = normalised(items[sampled[:6]] + np.float32(0.1) * rng.standard_normal((6, 12)).astype(np.float32))
    scores = users @ items.T
    seen = [set(sampled.tolist()), set(range(len(items))), set(range(1, len(items))), set()]
    seen += [set(np.argsort(-scores[user])[:n].tolist()) for user, n in ((4, 30), (5, 3))]
    check(users, items, k, screen=screen, seen=seen)


@pytest.mark.parametrize("screen", SCREENS)
def test_a_long_catalogue_of_one_item(screen):
    """All scores are equal: nothing lies below the first limit, and the lowest indices win."""
    items = np.tile(np.random.default_rng(5).standard_normal(24).astype(np.float32), (3000, 1))
    index, score = top_k(np.stack([items[0], -items[0], 0 * items[0]]), Catalogue(items, screen=screen), 20)
    assert (index == np.arange(20)).all()
    assert (score == score[:, :1]).all()


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("scale", [1.9e-43, 1e-30, 1e14])
def test_the_smallest_and_the_largest_vectors(screen, scale):
    items = np.random.default_rng(6).standard_normal((1500, 1)).astype(np.float32)
    users = np.array([[scale], [-scale]], dtype=np.float32)  # an int8 step of the first is the least float32 there is
    check(users, items, 20, screen=screen)
    check(items[:2], np.resize(users, (1500, 1)) * items, 20, screen=screen)


@pytest.mark.skipif(HAS_INT8, reason="this processor has VNNI")
def test_int8_needs_vnni():
    with pytest.raises(ArgumentError, match="screen must be float32 without VNNI"):
        Catalogue(np.eye(2, dtype=np.float32), screen="int8")


def test_int8_is_for_fewer_columns():
    wide = np.ones((1, 4097), dtype=np.float32)
    with pytest.raises(ArgumentError, match="screen must be float32 without VNNI instructions or beyond 4,096 columns"):
        Catalogue(wide, screen="int8")
    assert top_k(wide, Catalogue(wide), 1)[1].tolist() == [[4097.0]]


def test_normalised_rows_have_length_one_or_zero():
    table = np.array([[3.0, 4.0], [0.0, 0.0], [1e-20, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(normalised(table), [[0.6, 0.8], [0, 0], [1e-8, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be 1 or more"),
        ({"user_vectors": np.ones((2, 3), dtype=np.float32)}, "user_vectors must have 2 columns"),
        ({"user_vectors": np.full((2, 2), np.nan, dtype=np.float32)}, "user_vectors must be finite"),
        ({"items": np.array([[np.inf, 1], [-np.inf, 1]], dtype=np.float32)}, "item_vectors must be finite"),
        ({"items": np.ones(2, dtype=np.float32)}, "item_vectors must be a matrix"),
        ({"threads": 0}, "threads must be 1 or more"),
        ({"seen": SeenItems(np.zeros(2, np.int64), np.empty(0, np.int32))}, "seen must have a row for each"),
    ],
)
def test_broken_arguments(arguments, message):
    table = np.eye(2, dtype=np.float32)
    with pytest.raises(ArgumentError, match=message):
        top_k(**({"user_vectors": table, "items": table, "k": 1} | arguments))


@pytest.mark.parametrize("candidates", [[1, 0], [0, 0], [-1], [2]])
def test_candidates_must_increase_within_the_catalogue(candidates):
    with pytest.raises(ArgumentError, match="candidates must be"):
        Catalogue(np.eye(2, dtype=np.float32), candidates=np.array(candidates))
