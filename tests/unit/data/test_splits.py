"""Splits against plain loops: every interaction lands in exactly one part, by the rule and by no other."""

import datetime as dt
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimargin.data import (
    SPLITS,
    ByTime,
    GivenParts,
    Interactions,
    LeaveLastOut,
    RandomPerUser,
    Split,
    SplitStrategy,
    Vocabulary,
    carve_valid,
    k_core,
)
from multimargin.errors import ArgumentError, DataError

ROWS = st.dictionaries(st.tuples(st.integers(0, 5), st.integers(0, 9)), st.integers(0, 12), min_size=1, max_size=50)
STRATEGIES = [
    RandomPerUser(),
    RandomPerUser(0.5, 0.4),
    RandomPerUser(0, 0.5),
    LeaveLastOut(),
    LeaveLastOut(0, 2),
    LeaveLastOut(3, 3),
]


def build(rows, *, n_users=6, n_items=10, times=True):
    users, items = np.array(list(rows), dtype=np.int64).reshape(-1, 2).T
    return Interactions.from_pairs(
        users,
        items,
        Vocabulary([f"u{user}" for user in range(n_users)], kind="user"),
        Vocabulary.range(n_items, kind="item"),
        timestamps=np.array(list(rows.values())) if times else None,
        weights=np.array(list(rows.values()), dtype=np.float32),
    )


def pairs(log):
    return list(zip(log.user_index.tolist(), log.indices.tolist(), strict=True))


def assert_partition(log, split):
    every = [pair for part in split.parts.values() for pair in pairs(part)]
    assert sorted(every) == pairs(log)
    for part in split.parts.values():
        assert part.users is log.users
        times = dict(zip(pairs(log), log.timestamps.tolist(), strict=True))
        assert [times[pair] for pair in pairs(part)] == part.timestamps.tolist() == part.weights.tolist()


@given(ROWS, st.sampled_from(STRATEGIES), st.integers(0, 99))
def test_parts_partition_the_log_and_every_user_keeps_one(rows, strategy, seed):
    log = build(rows)
    split = log.split(strategy, rng=seed)
    assert_partition(log, split)
    assert ((split.train.user_counts > 0) == (log.user_counts > 0)).all()
    assert (split.valid is None) == (strategy.valid == 0)


@given(ROWS, st.floats(0, 0.49), st.floats(0, 0.49))
def test_random_shares_are_rounded_as_promised(rows, valid, test):
    log = build(rows)
    split = log.split(RandomPerUser(valid, test))
    for user, count in enumerate(log.user_counts.tolist()):
        n_test = min(math.floor(test * count + 0.5), max(count - 1, 0))
        n_valid = min(math.floor(valid * count + 0.5), max(count - 1 - n_test, 0))
        assert (0 if split.test is None else split.test.user_counts[user]) == n_test
        assert (0 if split.valid is None else split.valid.user_counts[user]) == n_valid


def test_random_split_is_fixed_by_the_seed_and_uniform():
    log = build({(user, item): 0 for user in range(300) for item in range(10)}, n_users=300)
    one = log.split(RandomPerUser(), rng=5)
    assert one.hash == log.split(RandomPerUser(), rng=5).hash != log.split(RandomPerUser(), rng=6).hash
    assert len(one.hash) == 64
    # each of the 10 items is among the 2 held back with chance 0.2; five standard deviations
    assert np.abs(one.test.item_counts - 60).max() < 5 * math.sqrt(300 * 0.2 * 0.8)


def test_global_randomness_is_left_alone(small):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    small.split(RandomPerUser(), rng=3)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


@given(ROWS, st.integers(0, 3), st.integers(0, 3))
def test_leave_last_out_holds_back_the_last(rows, valid, test):
    log = build(rows)
    split = log.split(LeaveLastOut(valid, test))
    for user in range(6):
        order = [item for _, item in sorted((when, item) for (who, item), when in rows.items() if who == user)]
        n_test = min(test, max(len(order) - 1, 0))
        n_valid = min(valid, max(len(order) - 1 - n_test, 0))
        expected = (order[: len(order) - n_test - n_valid], order[len(order) - n_test - n_valid : len(order) - n_test],
                    order[len(order) - n_test :])  # fmt: skip
        found = tuple([] if part is None else part.items_of(user).tolist() for part in split)
        assert found == tuple(map(sorted, expected))


@given(ROWS, st.integers(1, 12), st.integers(1, 12))
def test_points_in_time(rows, first, second):
    log = build(rows)
    valid, test = sorted((first, second))
    expected = {"train": [], "valid": [], "test": []}
    for pair in pairs(log):
        expected["train" if rows[pair] < valid else "valid" if rows[pair] < test else "test"].append(pair)
    if all(expected.values()):
        split = log.split(ByTime(valid, test))
        assert {name: pairs(part) for name, part in split.parts.items()} == expected
    else:
        with pytest.raises(DataError, match="must hold interactions; none is left for it"):
            log.split(ByTime(valid, test))


def test_shares_of_time_give_ties_to_the_later_part():
    log = build({(item % 6, item): when for item, when in enumerate([0, 1, 2, 3, 4, 5, 6, 7, 8, 8])})
    split = log.split(ByTime(0.2, 0.1))
    assert sorted(split.test.timestamps.tolist()) == [8, 8]
    assert sorted(split.valid.timestamps.tolist()) == [7]  # the last 3 of 10 begin at 7
    assert log.split(ByTime(None, 0.5)).valid is None
    assert log.split(ByTime(0, 0.5)).valid is None
    assert log.split(ByTime(0.5, None)).test is None


@pytest.mark.parametrize("factor", [1, 1000])
def test_dates_are_points_in_the_unit_of_the_data(factor):
    day = 86_400
    log = build({(0, item): (1_577_836_800 + item * day) * factor for item in range(4)})
    for split in (
        log.split(ByTime("2020-01-03", dt.datetime(2020, 1, 4, tzinfo=dt.UTC))),
        log.split(ByTime(dt.date(2020, 1, 3), "2020-01-04T00:00:00Z")),
    ):
        assert [len(part) for part in split] == [2, 1, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomPerUser(0.5, 0.5), r"valid \+ test must be below 1; got 1\.0"),
        (lambda: RandomPerUser(-0.1), "valid must be at least 0"),
        (lambda: RandomPerUser(test=1.0), "test must be .* below 1"),
        (lambda: LeaveLastOut(-1), "valid must be 0 or more"),
        (lambda: LeaveLastOut(0.5), "valid must be a whole number"),
        (lambda: ByTime(0.5, 0.5), "must be below 1"),
        (lambda: ByTime(0.5, 100), "both be shares or both be points"),
        (lambda: build({(0, 0): 1, (0, 1): 9}).split(ByTime(8, 5)), "valid must begin before test"),
        (lambda: build({(0, 0): 1}).split(ByTime(None, "soon")), "test must be a point in time or a share; got 'soon'"),
        (lambda: carve_valid(build({(0, 0): 1}), 0.0), "fraction must be above 0"),
        (lambda: k_core(build({(0, 0): 1}), 0), "k_user must be 1 or more"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("strategy", [LeaveLastOut(), ByTime()])
def test_times_are_needed(strategy):
    with pytest.raises(DataError, match=r"must have timestamps .* Interactions\.read\(path, timestamp='\.\.\.'\)"):
        build({(0, 0): 1}, times=False).split(strategy)


def test_an_empty_part_names_the_time_span():
    log = build({(0, 0): 1_577_836_800, (0, 1): 1_577_923_200})
    with pytest.raises(
        DataError, match=r"test must hold .* The data spans 2020-01-01 00:00:00 to 2020-01-02 00:00:00\."
    ):
        log.split(ByTime(None, "2021-01-01"))


def test_given_parts(small):
    parts = small.split(RandomPerUser(0, 0.3))
    with pytest.raises(DataError, match="split 'given' must get data in parts"):
        small.split(GivenParts())
    completed = GivenParts(0.2).complete(parts, rng=1)
    assert completed.test is parts.test
    assert sorted(pairs(completed.train) + pairs(completed.valid)) == pairs(parts.train)
    assert GivenParts(0.2).complete(completed, rng=2) is completed
    assert GivenParts(0).complete(parts) is parts


@given(ROWS, st.floats(0.05, 0.9), st.integers(0, 99))
def test_carving_keeps_one_for_each_user(rows, fraction, seed):
    log = build(rows)
    train, valid = carve_valid(log, fraction, seed)
    assert sorted(pairs(train) + pairs(valid)) == pairs(log)
    assert ((train.user_counts > 0) == (log.user_counts > 0)).all()


@given(ROWS, st.integers(1, 4), st.integers(1, 4))
def test_k_core_is_what_a_loop_leaves(rows, k_user, k_item):
    left = set(rows)
    while True:
        stay = {
            (user, item)
            for user, item in left
            if sum(who == user for who, _ in left) >= k_user and sum(what == item for _, what in left) >= k_item
        }
        if stay == left:
            break
        left = stay
    if not left:
        with pytest.raises(DataError, match="k_core must leave something"):
            k_core(build(rows), k_user, k_item)
        return
    core = k_core(build(rows), k_user, k_item)
    ids = zip(core.users.ids(core.user_index).to_list(), core.items.ids(core.indices).to_list(), strict=True)
    assert set(ids) == {(f"u{user}", item) for user, item in left}
    assert (core.user_counts > 0).all()
    assert (core.item_counts > 0).all()


def test_split_unpacks_counts_and_refuses_strangers(small):
    split = small.split(RandomPerUser(0, 0.3))
    train, valid, test = split
    assert (train, valid, test) == (split.train, None, split.test)
    assert (split.n_users, split.n_items) == (12, 23)
    assert list(split.parts) == ["train", "test"]
    assert repr(split).startswith(f"Split(train={len(train):,}, test={len(test):,} of 12 users")
    with pytest.raises(DataError, match="parts must share their vocabularies"):
        Split(small, None, build({(0, 0): 1}))


def test_hash_sees_which_part_is_which(small):
    a, b = carve_valid(small, 0.3)
    assert len({Split(a, b, None).hash, Split(a, None, b).hash, Split(b, a, None).hash, Split(a).hash}) == 4


@pytest.mark.parametrize("name", SPLITS)
def test_every_entry_is_a_strategy_with_a_constructor_of_its_own(name):
    assert isinstance(SPLITS[name](), SplitStrategy)
