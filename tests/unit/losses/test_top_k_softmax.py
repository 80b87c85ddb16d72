"""SL@K."""

import math

import pytest
import torch
from loss_inputs import prepared

from multimargin.errors import ArgumentError
from multimargin.losses import DecoupledSoftmaxLoss, TopKSoftmaxLoss


def test_the_weight_is_a_sigmoid_of_the_distance_to_the_threshold():
    loss = prepared(TopKSoftmaxLoss, temperature=0.5, weight_temperature=0.4, neg_weight=7.0)
    loss.threshold.values[3] = 0.3
    pos, neg = torch.tensor([0.8]), torch.tensor([[0.1, -0.4]])
    softmax = DecoupledSoftmaxLoss(0.5)(pos, neg) + math.log(7)
    value = loss(pos, neg, users=torch.tensor([3]))
    assert value.item() == pytest.approx(softmax.item() / (1 + math.exp(-(0.8 - 0.3) / 0.4)), rel=1e-5)


def test_below_the_threshold_a_positive_counts_little():
    loss = prepared(TopKSoftmaxLoss, weight_temperature=0.05)
    loss.threshold.values[:2] = torch.tensor([0.9, 0.0])
    neg = torch.zeros((2, 3), requires_grad=True)
    loss(torch.tensor([0.5, 0.5]), neg, users=torch.tensor([0, 1])).backward()
    assert neg.grad[0].sum() < 0.01 * neg.grad[1].sum()


def test_a_row_without_negatives_costs_nothing():
    loss = prepared(TopKSoftmaxLoss)
    none = torch.zeros((1, 2), dtype=torch.bool)
    assert loss(torch.ones(1), torch.ones(1, 2), users=torch.tensor([0]), mask=none).item() == pytest.approx(
        0, abs=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"temperature": 0}, "temperature"),
        ({"weight_temperature": 0}, "weight_temperature"),
        ({"neg_weight": 0}, "neg_weight"),
        ({"k": 0}, "k"),
        ({"refresh_every": 0}, "refresh_every"),
        ({"k": 30, "pool_size": 20}, "pool_size"),
    ],
)
def test_a_broken_argument_is_named(arguments, name):
    with pytest.raises(ArgumentError, match=f"^{name} must"):
        TopKSoftmaxLoss(**arguments)
