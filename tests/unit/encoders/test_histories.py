"""Bags of what users touched, against plain lists."""

import numpy as np
import pytest

from multimargin.data.interactions import Interactions
from multimargin.encoders.histories import Bags, Histories


def lists_of(bags):
    return [bags.items[start : start + size].tolist() for start, size in zip(bags.starts, bags.sizes, strict=True)]


def test_a_bag_holds_what_the_user_touched(small):
    users = np.array([1, 0, 5, 5, 11])
    bags = Histories(small, None, rng=np.random.default_rng(0)).of(users)
    assert lists_of(bags) == [small.items_of(user).tolist() for user in users]
    assert bags.distinct.tolist() == sorted(set(bags.items.tolist()))
    assert bags.distinct[bags.places].tolist() == bags.items.tolist()


def test_without_leaves_out_one_interaction_of_each(small):
    interactions = np.array([small.indptr[1] + 3, small.indptr[5], small.indptr[1]])
    users = small.user_index[interactions].astype(np.int64)
    found = lists_of(Histories(small, None, rng=np.random.default_rng(0)).of(users, without=interactions))
    for bag, user, interaction in zip(found, users, interactions, strict=True):
        assert bag == [item for item in small.items_of(user).tolist() if item != small.indices[interaction]]


def test_long_histories_keep_the_latest(small):
    times = np.random.default_rng(1).permutation(len(small))
    timed = Interactions.from_pairs(small.user_index, small.indices, small.users, small.items, timestamps=times)
    found = Histories(timed, 3, rng=np.random.default_rng(0)).of(np.arange(12))
    for user, bag in enumerate(lists_of(found)):
        places = range(timed.indptr[user], timed.indptr[user + 1])
        latest = sorted(places, key=lambda place: timed.timestamps[place])[-3:]
        assert sorted(bag) == sorted(timed.indices[latest].tolist())


def test_without_times_some_are_drawn_once_by_the_rng(small):
    one, same, other = (Histories(small, 3, rng=np.random.default_rng(seed)).of(np.arange(12)) for seed in (0, 0, 1))
    assert one.items.tolist() == same.items.tolist() != other.items.tolist()
    for user, bag in enumerate(lists_of(one)):
        assert len(bag) == min(3, small.user_counts[user])
        assert len(set(bag) & set(small.items_of(user).tolist())) == len(bag)


def test_without_finds_an_interaction_of_a_shortened_history_and_minds_no_other(small):
    histories = Histories(small, 3, rng=np.random.default_rng(0))
    kept = set(histories.of(np.array([1])).items.tolist())
    for interaction in range(small.indptr[1], small.indptr[2]):
        bag = histories.of(np.array([1]), without=np.array([interaction])).items.tolist()
        assert set(bag) == kept - {int(small.indices[interaction])}


@pytest.mark.parametrize("sizes", [(), (0,), (0, 0)])
def test_empty_bags(sizes):
    bags = Bags(np.empty(0, np.int64), np.array(sizes, np.int64))
    assert bags.starts.tolist() == [0] * len(sizes)
    assert bags.distinct.tolist() == bags.places.tolist() == []
