"""Adap-tau: temperatures from the data."""

import math

import numpy as np
import pytest
import torch
from scipy.special import lambertw

from multimargin.errors import ArgumentError
from multimargin.losses import AdaptiveTemperatureLoss, DecoupledSoftmaxLoss, Statistics

PAIRS = np.array([[0, 0], [0, 1], [0, 5], [1, 2], [1, 3], [2, 4], [2, 6], [2, 7], [3, 1]])
STATISTICS = Statistics(4, 40, PAIRS[:, 0], PAIRS[:, 1])
ACTIVE = [0, 1, 2]  # above the 0.2 quantile of (3, 2, 3, 1), which is 1.6
ODDS = math.log(3 * 40 / (2 * 8))


def prepared(**arguments):
    loss = AdaptiveTemperatureLoss(**arguments)
    loss.prepare(STATISTICS, rng=np.random.default_rng(0))
    return loss


def vectors(seed=0):
    generator = torch.Generator().manual_seed(seed)
    users, items = torch.randn(4, 3, generator=generator), torch.randn(40, 3, generator=generator)
    users[:, 0] += 1.0
    items[:10, 0] += 3.0
    return [torch.nn.functional.normalize(each, dim=-1) for each in (users, items)]


def start(loss, epoch, seed=0):
    users, items = vectors(seed)
    loss.start_epoch(epoch, user_vectors=users, item_vectors=items)


def test_while_it_warms_up_the_temperature_comes_from_the_counts():
    loss = prepared(warmup_epochs=1)
    start(loss, 0)
    pos, neg = torch.tensor([0.8, 0.1]), torch.tensor([[0.3, -0.2], [0.5, 0.9]])
    value = loss(pos, neg, users=torch.tensor([3, 1]))
    torch.testing.assert_close(value, DecoupledSoftmaxLoss(0.7 / ODDS)(pos, neg))


def test_then_from_how_far_scores_are_apart():
    loss = prepared(warmup_epochs=1)
    start(loss, 1)
    users, items = vectors()
    close = np.mean([float(users[u] @ items[i]) for u, i in PAIRS if u in ACTIVE])
    any_pair = np.mean([float(users[u] @ items[i]) for u in ACTIVE for i in range(40)])
    assert close - any_pair > 0.01
    assert loss.base.item() == pytest.approx(ODDS / (close - any_pair), rel=1e-5)


@pytest.mark.parametrize("quantile", [None, 0.5])
def test_users_who_fit_badly_get_softer_temperatures(quantile):
    loss = prepared(spread=0.4, quantile=quantile, warmup_epochs=5)
    start(loss, 0)
    pos, neg = torch.tensor([0.9, 0.2, 0.5, 0.1]), torch.tensor([[-0.5], [0.6], [0.0], [0.9]])
    users = torch.tensor([0, 1, 1, 2])  # user 3 is not seen
    loss(pos, neg, users=users)
    plain = (neg[:, 0] - pos).tolist()
    losses = {0: plain[0], 1: (plain[1] + plain[2]) / 2, 2: plain[3]}
    middle = np.mean(list(losses.values())) if quantile is None else np.quantile(list(losses.values()), quantile)
    start(loss, 1)
    for user in range(4):
        excess = max((losses[user] - middle) / 0.4, 1e-9 - 1 / math.e) if user in losses else 0.0
        expected = ODDS / 0.7 * math.exp(-lambertw(excess).real)
        assert loss.inverse[user].item() == pytest.approx(expected, rel=1e-4)
    assert loss.inverse[2] < loss.inverse[1] < loss.inverse[0]


def test_losses_are_of_the_last_epoch_only():
    loss = prepared()
    start(loss, 0)
    loss(torch.zeros(2), torch.tensor([[1.0], [-1.0]]), users=torch.tensor([0, 1]))
    start(loss, 1)
    assert loss.inverse[0] != loss.inverse[1]
    start(loss, 2)
    assert torch.equal(loss.inverse, loss.base.expand(4))


def test_data_of_which_most_is_touched_is_refused():
    dense = np.array([[u, i] for u in range(4) for i in range(4)])
    with pytest.raises(ArgumentError, match="more than half of all pairs untouched"):
        AdaptiveTemperatureLoss().prepare(Statistics(4, 4, dense[:, 0], dense[:, 1]), rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"spread": 0.0}, "spread"), ({"quantile": 1.0}, "quantile"), ({"warmup_epochs": -1}, "warmup")],
)
def test_a_broken_argument_is_named(arguments, name):
    with pytest.raises(ArgumentError, match=name):
        AdaptiveTemperatureLoss(**arguments)
