"""Shared negatives: the pool is the batch's, the mask is each user's."""

import numpy as np
import pytest

from multimargin.errors import ArgumentError
from multimargin.negatives import (
    AllNegatives,
    DynamicNegatives,
    PopularityNegatives,
    SharedNegatives,
    UniformNegatives,
)
from multimargin.rng import CounterRng


def sample(train, users, n=40, offset=3, **arguments):
    sampler = SharedNegatives(**arguments)
    sampler.build(train)
    return sampler.sample(np.asarray(users), np.zeros(len(users), np.int64), n, rng=CounterRng(7, offset))


def test_the_pool_is_what_uniform_negatives_draw_for_the_first_row(small):
    uniform = UniformNegatives()
    uniform.build(small)
    expected = uniform.sample(np.array([1, 2]), np.array([0, 0]), 40, rng=CounterRng(7, 3)).index[0]
    for exclude_seen in (False, True):
        np.testing.assert_array_equal(sample(small, [1, 2], exclude_seen=exclude_seen).index, expected)


def test_all_count_unless_seen_ones_are_left_out(small):
    assert sample(small, [0, 1, 2]).mask is None
    users = [1, 5, 0, 5, 11]
    drawn = sample(small, users, exclude_seen=True)
    assert len(set(drawn.index.tolist())) < len(drawn.index)  # some repeat
    for user, row in zip(users, drawn.mask, strict=True):
        seen = set(small.items_of(user).tolist())
        assert row.tolist() == [item not in seen for item in drawn.index.tolist()]
    assert drawn.mask[2].all()
    assert (drawn.mask[1] == drawn.mask[3]).all()


def test_a_row_may_have_no_negative_left(small):
    drawn = sample(small, [1], n=1, offset=2, exclude_seen=True)  # user 1 has all items but 17
    assert drawn.mask.tolist() == [[drawn.index[0] == 17]] == [[False]]


def test_any_law_of_counts_may_be_shared(small):
    law = PopularityNegatives(1.0)
    drawn = sample(small, [5, 2], law=law, exclude_seen=True)
    alone = law.sample(np.array([0]), np.array([0]), 40, rng=CounterRng(7, 3))
    np.testing.assert_array_equal(drawn.index, alone.index[0])
    np.testing.assert_array_equal(drawn.log_q, alone.log_q[0])
    assert drawn.mask.shape == (2, 40)
    assert not drawn.mask.all()


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (AllNegatives(), "law must draw items row by row"),
        (SharedNegatives(), "law must draw items row by row"),
        (DynamicNegatives(), "law must draw items row by row"),
        (UniformNegatives(exclude_seen=True), "law must be the same for all users"),
    ],
)
def test_a_law_that_cannot_be_shared_is_refused(law, message):
    with pytest.raises(ArgumentError, match=message):
        SharedNegatives(law)


def test_must_be_built_and_asked_for_users_there_are(small):
    with pytest.raises(ArgumentError, match="must be built before it draws"):
        SharedNegatives(exclude_seen=True).sample(np.array([0]), np.array([0]), 1, rng=CounterRng(0))
    with pytest.raises(ArgumentError, match="users must be indices in"):
        sample(small, [12])
