"""GenNi's warm-up: draws begin as the law's and come to the model's preference."""

import numpy as np
import pytest

from multimargin.errors import ArgumentError
from multimargin.negatives import PreferenceNegatives
from multimargin.rng import CounterRng


def by_index(users, items):
    return np.broadcast_to(items * 0.1, (len(users), items.shape[-1])).astype(np.float32)


def plain_law(small, user, force):
    weights = np.array([0.0 if item in small.items_of(user) else np.exp(force * 0.1 * item) for item in range(23)])
    return weights / weights.sum()


@pytest.mark.parametrize(("warm_up", "epoch", "force"), [(0, 0, 1), (4, 0, 0), (4, 1, 0.25), (4, 4, 1), (4, 9, 1)])
def test_the_temperature_comes_into_force_with_the_epochs(small, warm_up, epoch, force):
    sampler = PreferenceNegatives(0.5, 400, warm_up=warm_up)
    sampler.build(small)
    sampler.start_epoch(epoch, rng=CounterRng(1, epoch))
    users = np.array([2, 5])
    law = np.stack([plain_law(small, user, force / 0.5) for user in users])
    np.testing.assert_allclose(sampler.probabilities(users, scorer=by_index), law, atol=1e-6)
    many = np.repeat(users, 300)
    drawn = sampler.sample(many, np.zeros_like(many), 20, rng=CounterRng(3), scorer=by_index).index.reshape(2, -1)
    for row, expected in zip(drawn, law, strict=True):
        np.testing.assert_allclose(np.bincount(row, minlength=23) / len(row), expected, atol=0.02)


def test_before_an_epoch_begins_a_warm_up_has_no_force(small):
    sampler = PreferenceNegatives(0.5, warm_up=3)
    sampler.build(small)
    np.testing.assert_allclose(sampler.probabilities(np.array([2]), scorer=by_index)[0], plain_law(small, 2, 0))


def test_a_warm_up_is_not_negative():
    with pytest.raises(ArgumentError, match="warm_up must"):
        PreferenceNegatives(warm_up=-1)
