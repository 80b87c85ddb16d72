"""LLPAUC."""

import math

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import PartialAUCLoss


def scores():
    return torch.tensor([0.5, 2.0]), torch.tensor([[0.4, -0.3, 0.1], [0.6, 0.3, -0.9]])


def test_the_two_that_climb_have_their_gradient_turned_round():
    """Against difference quotients of the value: those that descend agree, those that climb are the opposite."""
    loss, step = PartialAUCLoss(0.6, 0.2).double(), 1e-6
    pos, neg = (each.double() for each in scores())
    with torch.no_grad():  # away from every bound
        for name, value in (("a", 0.7), ("b", 0.2), ("half_s_pos", 0.3), ("half_s_neg", 0.4), ("half_gamma", 0.1)):
            getattr(loss, name).fill_(value)
    loss(pos, neg).backward()
    for name, parameter in loss.named_parameters():
        with torch.no_grad():
            before = loss(pos, neg)
            parameter += step
            slope = (loss(pos, neg) - before) / step
            parameter -= step
        sign = -1 if name in ("half_s_pos", "half_gamma") else 1
        assert parameter.grad.item() == pytest.approx(sign * slope.item(), abs=1e-4), name


def test_the_value_is_the_formula_away_from_the_start():
    numbers = {"a": 0.7, "b": 0.2, "s_pos": 0.6, "s_neg": 0.8, "gamma": 0.3, "theta_a": 0.4, "theta_b": 0.9}
    loss = PartialAUCLoss(0.6, 0.2).double()
    with torch.no_grad():
        for name, value in numbers.items():
            halved = name in ("s_pos", "s_neg", "gamma")
            getattr(loss, f"half_{name}" if halved else name).fill_(value / 2 if halved else value)
    pos, neg = (each.double() for each in scores())

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    def r(x):
        return math.log(1 + math.exp(5 * x)) / 5

    a, b, s_pos, s_neg, gamma, theta_a, theta_b = numbers.values()
    expected = s_neg - s_pos - gamma**2 + theta_a * (a + gamma) + theta_b * (gamma + 1 - b)
    for score in pos.tolist():
        y = sigmoid(score)
        expected -= r(-((y - a) ** 2) + 2 * (1 + gamma) * y - s_pos) / (0.6 * 2)
    for score in neg.flatten().tolist():
        y = sigmoid(score)
        expected += r((y - b) ** 2 + 2 * (1 + gamma) * y - s_neg) / (0.2 * 6)
    assert loss(pos, neg).item() == pytest.approx(expected, rel=1e-12)


def test_numbers_stay_within_their_bounds():
    loss = PartialAUCLoss()
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.fill_(-9.0)
    loss(*scores())
    found = [loss.a, loss.b, 2 * loss.half_s_pos, 2 * loss.half_s_neg, 2 * loss.half_gamma, loss.theta_a, loss.theta_b]
    assert [each.item() for each in found] == [0, 0, -1, 0, -1, 0, 0]
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.fill_(9.0)
    loss(*scores())
    assert [each.item() for each in found[:2]] == [1, 1]
    assert [2 * each.item() for each in (loss.half_s_pos, loss.half_s_neg, loss.half_gamma)] == [4, 5, 1]


def test_the_best_positives_and_the_hardest_negatives_are_learnt_from():
    pos, neg = torch.tensor([0.0, 4.0], requires_grad=True), torch.tensor([[4.0, -4.0]] * 2, requires_grad=True)
    loss = PartialAUCLoss()
    with torch.no_grad():
        loss.half_s_neg.fill_(0.8)
    loss(pos, neg).backward()
    assert (pos.grad < 0).all()
    assert (neg.grad[:, 0] > 5 * neg.grad[:, 1]).all()


@pytest.mark.parametrize("name", ["positive_share", "negative_share"])
@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_broken_share_is_named(name, share):
    with pytest.raises(ArgumentError, match=f"^{name} must be"):
        PartialAUCLoss(**{name: share})
