"""Interactions against sets and dictionaries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimargin.data import Interactions, Vocabulary
from multimargin.errors import DataError

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7), st.integers(0, 9)), max_size=40)


def build(rows, *, times=True):
    users, items, when = (np.array([row[place] for row in rows], dtype=np.int64) for place in range(3))
    return Interactions.from_pairs(
        users,
        items,
        Vocabulary.range(6, kind="user"),
        Vocabulary.range(8, kind="item"),
        timestamps=when if times else None,
        weights=when * 2.0,
    )


@given(PAIRS)
def test_repeated_pairs_collapse_into_the_earliest_and_are_counted(rows):
    earliest = {}
    for user, item, when in rows:
        earliest[user, item] = min(when, earliest.get((user, item), when))
    log = build(rows)
    found = dict(zip(zip(log.user_index.tolist(), log.indices.tolist(), strict=True), log.timestamps, strict=True))
    assert found == earliest
    assert list(found) == sorted(found)
    assert log.weights.tolist() == [2 * when for when in found.values()]
    assert log.n_duplicates == len(rows) - len(earliest)


@given(PAIRS)
def test_without_times_the_first_row_of_a_pair_stays(rows):
    first = {}
    for user, item, when in rows:
        first.setdefault((user, item), 2 * when)
    log = build(rows, times=False)
    assert dict(zip(zip(log.user_index.tolist(), log.indices.tolist(), strict=True), log.weights, strict=True)) == first


@given(PAIRS)
def test_rows_counts_and_matrix(rows):
    log = build(rows)
    for user in range(6):
        assert log.items_of(user).tolist() == sorted({item for who, item, _ in rows if who == user})
        assert log.user_counts[user] == len(log.items_of(user))
    for item in range(8):
        assert log.item_counts[item] == len({who for who, what, _ in rows if what == item})
    assert log.to_csr().shape == (6, 8)
    assert (log.to_csr().indices == log.indices).all()


@given(PAIRS, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_change_the_fingerprint(rows, random):
    rows = list({row[:2]: row for row in rows}.values())
    shuffled = random.sample(rows, len(rows))
    assert build(rows).fingerprint == build(shuffled).fingerprint


def test_fingerprint_sees_pairs_times_weights_and_ids():
    def fingerprint(users=(0, 1), when=(1, 2), weights=(1.0, 2.0), ids=(0, 1)):
        return Interactions.from_pairs(
            np.array(users), np.array([0, 1]), Vocabulary(list(ids)), Vocabulary([0, 1]),
            timestamps=None if when is None else np.array(when), weights=None if weights is None else np.array(weights),
        ).fingerprint  # fmt: skip

    different = [
        fingerprint(),
        fingerprint(users=(1, 0)),
        fingerprint(when=(1, 3)),
        fingerprint(when=None),
        fingerprint(weights=(1.0, 1.0)),
        fingerprint(weights=None),
        fingerprint(ids=(0, 2)),
        fingerprint(ids=("0", "1")),
    ]
    assert len(set(different)) == len(different)


@given(PAIRS, PAIRS)
def test_union_and_select(one, two):
    log = build(one).union([build(two)])
    assert set(zip(log.user_index.tolist(), log.indices.tolist(), strict=True)) == {row[:2] for row in one + two}
    assert log.n_duplicates == len(one) + len(two) - len(log)
    half = log.select(np.arange(len(log)) % 2 == 0)
    assert half.indices.tolist() == log.indices[::2].tolist()
    assert half.timestamps.tolist() == log.timestamps[::2].tolist()
    assert half.user_index.tolist() == log.user_index[::2].tolist()


def test_arrays_cannot_be_written(small):
    with pytest.raises(ValueError, match="read-only"):
        small.indices[0] = 1


def test_indices_out_of_range_and_unequal_arrays_are_refused():
    users, items = Vocabulary.range(2, kind="user"), Vocabulary.range(2, kind="item")
    with pytest.raises(DataError, match=r"item indices must be in \[0, 2\); got 0\.\.2"):
        Interactions.from_pairs(np.array([0, 1]), np.array([0, 2]), users, items)
    with pytest.raises(DataError, match="of one length"):
        Interactions.from_pairs(np.array([0, 1]), np.array([0]), users, items)


def test_union_of_strangers_is_refused(small):
    with pytest.raises(DataError, match="share their vocabularies"):
        small.union([build([(0, 0, 0)])])
