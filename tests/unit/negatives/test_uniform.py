"""The uniform sampler: its law, its place in the stream, its errors."""

import numpy as np
import pytest

from multimargin.errors import ArgumentError, MultiMarginError
from multimargin.kernels.draws import below_reference, bits_reference
from multimargin.negatives import UniformNegatives
from multimargin.rng import CounterRng


def test_draw_n_of_row_b_is_its_number_in_the_stream(small):
    sampler = UniformNegatives()
    sampler.build(small)
    drawn = sampler.sample(np.array([4, 4, 9]), np.zeros(3, dtype=np.int64), 5, rng=CounterRng(key=77, offset=10))
    counters = np.arange(10 * 5, 13 * 5, dtype=np.uint64)
    expected = below_reference(bits_reference(77, counters), np.uint64(small.n_items)).reshape(3, 5)
    np.testing.assert_array_equal(drawn.index, expected)
    assert drawn.log_q is None
    assert drawn.mask is None


def test_law_with_and_without_seen_items(small):
    everything, unseen = UniformNegatives(), UniformNegatives(exclude_seen=True)
    for sampler in (everything, unseen):
        sampler.build(small)
    users = np.array([0, 1])
    np.testing.assert_allclose(everything.probabilities(users), 1 / 23)
    law = unseen.probabilities(users)
    np.testing.assert_allclose(law[0], 1 / 23)
    assert np.flatnonzero(law[1]).tolist() == [17]


def test_a_sampler_draws_only_after_build():
    with pytest.raises(ArgumentError, match=r"Call build\(train\) first"):
        UniformNegatives().sample(np.array([0]), np.array([0]), 1, rng=CounterRng(1))


@pytest.mark.parametrize("user", [-1, 12])
@pytest.mark.parametrize("exclude_seen", [False, True])
def test_a_user_outside_of_the_data_is_refused(small, user, exclude_seen):
    sampler = UniformNegatives(exclude_seen=exclude_seen)
    sampler.build(small)
    with pytest.raises(ArgumentError, match=r"users must be indices in \[0, 12\)"):
        sampler.sample(np.array([3, user]), np.array([0, 0]), 1, rng=CounterRng(1))


@pytest.mark.parametrize("n", [0, -3, 1.5, True])
def test_the_number_of_negatives_is_checked(small, n):
    sampler = UniformNegatives()
    sampler.build(small)
    with pytest.raises(MultiMarginError, match="n must be"):
        sampler.sample(np.array([3]), np.array([0]), n, rng=CounterRng(1))
