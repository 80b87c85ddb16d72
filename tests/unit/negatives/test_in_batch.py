"""In-batch negatives: what is masked, and how often an item stands in a batch."""

import numpy as np
import pytest

from multimargin.errors import ArgumentError
from multimargin.negatives import InBatchNegatives
from multimargin.rng import CounterRng


def given(train, rows, **arguments):
    sampler = InBatchNegatives(**arguments)
    sampler.build(train)
    users, positives = train.user_index[rows].astype(np.int64), train.indices[rows].astype(np.int64)
    return users, positives, sampler.sample(users, positives, 1, rng=CounterRng(0))


@pytest.mark.parametrize("exclude_seen", [False, True])
def test_what_counts_is_neither_the_positive_nor_seen(small, exclude_seen):
    users, positives, found = given(small, np.arange(0, len(small), 3), exclude_seen=exclude_seen)
    np.testing.assert_array_equal(found.index, positives)
    hits = 0
    for b, (user, positive) in enumerate(zip(users, positives, strict=True)):
        left_out = set(small.items_of(int(user)).tolist()) if exclude_seen else {int(positive)}
        assert found.mask[b].tolist() == [item not in left_out for item in positives.tolist()]
        hits += (positives == positive).sum() > 1
    assert hits > 5  # the same item stands in the batch more than once


def test_log_q_is_the_share_of_interactions(small):
    _, positives, found = given(small, np.arange(20))
    np.testing.assert_allclose(np.exp(found.log_q), small.item_counts[positives] / len(small), rtol=1e-6)


def test_the_law_leaves_out_the_positive(small):
    sampler = InBatchNegatives()
    sampler.build(small)
    law = sampler.probabilities(np.array([4]), positives=np.array([6]))[0]
    counts = small.item_counts.astype(float)
    counts[6] = 0
    np.testing.assert_allclose(law, counts / counts.sum())


def test_building_comes_first_and_users_must_exist(small):
    with pytest.raises(ArgumentError, match=r"Call build\(train\) first"):
        InBatchNegatives().sample(np.array([0]), np.array([0]), 1, rng=CounterRng(1))
    with pytest.raises(ArgumentError, match=r"users must be indices in"):
        sampler = InBatchNegatives()
        sampler.build(small)
        sampler.sample(np.array([12]), np.array([0]), 1, rng=CounterRng(1))
