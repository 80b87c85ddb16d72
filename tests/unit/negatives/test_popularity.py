"""Popularity: the counts by hand, and log_q to the digit."""

import numpy as np
import pytest

from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import ArgumentError, NoNegativesError
from multimargin.negatives import PopularityNegatives
from multimargin.rng import CounterRng


def interactions(pairs, n_users, n_items):
    users, items = np.array(pairs).T
    return Interactions.from_pairs(users, items, Vocabulary.range(n_users), Vocabulary.range(n_items))


@pytest.fixture
def train():
    return interactions([(0, 0), (0, 1), (1, 1), (2, 1), (2, 3), (3, 1)], 5, 5)  # counts 1 4 0 1 0


def law(train, users, *arguments, **options):
    sampler = PopularityNegatives(*arguments, **options)
    sampler.build(train)
    return sampler.probabilities(np.asarray(users))


def test_the_law_is_the_powers_of_counts(train):
    np.testing.assert_allclose(law(train, [0], 1.0), [[1 / 6, 4 / 6, 0, 1 / 6, 0]])
    np.testing.assert_allclose(law(train, [0], 0.5), [[1 / 4, 2 / 4, 0, 1 / 4, 0]])
    np.testing.assert_allclose(law(train, [3], 0.0), [[1 / 3, 1 / 3, 0, 1 / 3, 0]])


def test_what_is_seen_is_left_out(train):
    expected = [[0, 0, 0, 1, 0], [1, 0, 0, 0, 0], [1 / 6, 4 / 6, 0, 1 / 6, 0]]
    np.testing.assert_allclose(law(train, [0, 2, 4], 1.0, exclude_seen=True), expected)


def test_a_user_who_has_all_that_occurs_is_named():
    train = interactions([(0, 0), (0, 1), (1, 1)], 2, 3)  # item 2 does not occur
    with pytest.raises(NoNegativesError, match="user 0 must have an item left to draw; got all items that occur seen"):
        law(train, [1, 0], exclude_seen=True)


def test_log_q_is_that_of_the_draw(train):
    sampler = PopularityNegatives(0.5, exclude_seen=True)
    sampler.build(train)
    users = np.array([1, 4, 1])
    drawn = sampler.sample(users, np.zeros(3, dtype=np.int64), 7, rng=CounterRng(4))
    for row, user in enumerate(users):
        left = {0: 1.0, 1: 2.0, 3: 1.0}
        for item in train.items_of(int(user)).tolist():
            del left[item]
        expected = [np.log(left[item] / sum(left.values())) for item in drawn.index[row].tolist()]
        np.testing.assert_allclose(drawn.log_q[row], expected, rtol=1e-5, atol=1e-6)


def test_broken_arguments_are_named(train):
    with pytest.raises(ArgumentError, match="beta must be 0 or more"):
        PopularityNegatives(-1.0)
    with pytest.raises(ArgumentError, match=r"Call build\(train\) first"):
        PopularityNegatives().sample(np.array([0]), np.array([0]), 1, rng=CounterRng(1))
    with pytest.raises(ArgumentError, match="training data must hold interactions"):
        PopularityNegatives().build(interactions(np.empty((0, 2), dtype=int), 2, 2))
    with pytest.raises(ArgumentError, match=r"users must be indices in \[0, 5\)"):
        law(train, [5])
