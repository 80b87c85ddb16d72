"""Pair weighting over a memory of past items."""

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import CosineContrastiveLoss, CrossBatchMemoryLoss


def step(loss, items, past=None, neg=None):
    items = torch.tensor(items)
    past = torch.zeros(len(items), len(loss.memory)) if past is None else past
    neg = torch.zeros(len(items), 1) if neg is None else neg
    return loss(torch.ones(len(items)), neg, positives=items, companion_scores=past)


def test_the_last_items_are_remembered_in_a_circle():
    loss = CrossBatchMemoryLoss(memory_size=4)
    for items, memory in (([5, 6, 7], [5, 6, 7, -1]), ([8, 9], [9, 6, 7, 8]), ([1, 2, 3, 4, 5, 6], [6, 3, 4, 5])):
        step(loss, items)
        assert loss.memory.tolist() == memory


def test_what_is_remembered_is_pushed_unless_it_is_the_rows_own():
    loss = CrossBatchMemoryLoss(0.5, neg_weight=0.0, memory_weight=6.0, memory_size=3)
    step(loss, [5, 6])
    past = torch.tensor([[0.9, 0.7, 0.9], [0.9, 0.4, 0.8]], requires_grad=True)
    value = step(loss, [5, 7], past)
    # row 0: its own and an empty place are left out; row 1: one of two is above the threshold
    assert value.item() == pytest.approx((6 * 0.7 + 6 * 0.9 / 2) / 2)
    (gradient,) = torch.autograd.grad(value, past)
    assert gradient.tolist() == [[0.0, 3.0, 0.0], [1.5, 0.0, 0.0]]


def test_the_gradient_is_that_of_a_hinge():
    generator = torch.Generator().manual_seed(0)
    neg = (torch.rand((3, 5), generator=generator)).requires_grad_()
    loss = CrossBatchMemoryLoss(0.5, neg_weight=7.0, memory_size=2)
    (found,) = torch.autograd.grad(step(loss, [1, 2, 3], neg=neg), neg)
    (expected,) = torch.autograd.grad(CosineContrastiveLoss(0.5, neg_weight=7.0)(torch.ones(3), neg), neg)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "arguments", [{"threshold": float("nan")}, {"neg_weight": -1}, {"memory_weight": -1}, {"memory_size": 0}]
)
def test_a_broken_argument_is_named(arguments):
    with pytest.raises(ArgumentError, match=f"^{next(iter(arguments))} must"):
        CrossBatchMemoryLoss(**arguments)
