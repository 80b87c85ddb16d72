"""SogCLR: denominators that are remembered."""

import math

import pytest
import torch
from loss_inputs import prepared

from multimargin.errors import ArgumentError
from multimargin.losses import DecoupledSoftmaxLoss, GlobalContrastiveLoss


def test_the_average_moves_as_in_plain_loops():
    loss, rate, temperature = prepared(GlobalContrastiveLoss, temperature=0.5, rate=0.3), 0.3, 0.5
    known, generator = {}, torch.Generator().manual_seed(0)
    for _ in range(5):
        users = torch.randint(4, (6,), generator=generator)
        pos, neg = torch.rand(6, generator=generator), torch.rand((6, 3), generator=generator)
        value, expected, new = loss(pos, neg, users=users), 0.0, {}
        for user, positive, row in zip(users.tolist(), pos.tolist(), neg.tolist(), strict=True):
            estimate = sum(math.exp(s / temperature) for s in row) / 3
            average = (1 - rate) * known.get(user, estimate) + rate * estimate
            new.setdefault(user, []).append(average)
            expected += (-positive / temperature + estimate / average) / 6
        known |= {user: sum(each) / len(each) for user, each in new.items()}
        assert value.item() == pytest.approx(expected, rel=1e-5)
    for user, average in known.items():
        assert loss.denominators.logarithms[user].exp().item() == pytest.approx(average, rel=1e-5)


def test_the_gradient_is_the_softmax_loss_with_the_average_for_the_estimate():
    loss = prepared(GlobalContrastiveLoss, temperature=0.5, rate=0.25)
    users, low, high = torch.tensor([2]), torch.zeros(1, 4), torch.full((1, 4), 0.5, requires_grad=True)
    loss(torch.zeros(1), low, users=users)
    (found,) = torch.autograd.grad(loss(torch.zeros(1), high, users=users), high)
    estimate, average = math.exp(1.0), 0.75 * 1.0 + 0.25 * math.exp(1.0)
    torch.testing.assert_close(found, torch.full((1, 4), estimate / average / 4 / 0.5))


def test_a_rate_of_one_has_the_gradient_of_the_softmax_loss():
    generator = torch.Generator().manual_seed(0)
    loss, users = prepared(GlobalContrastiveLoss, temperature=0.2, rate=1.0), torch.tensor([0, 1, 1, 3])
    for _ in range(2):
        pos, neg = torch.rand(4, generator=generator), torch.rand((4, 3), generator=generator)
        inputs = pos.requires_grad_(), neg.requires_grad_()
        found = torch.autograd.grad(loss(*inputs, users=users), inputs)
        expected = torch.autograd.grad(DecoupledSoftmaxLoss(0.2)(*inputs), inputs)
        torch.testing.assert_close(found, expected)


def test_a_row_without_negatives_is_not_remembered():
    loss, none = prepared(GlobalContrastiveLoss), torch.tensor([[False, False], [True, True]])
    loss(torch.zeros(2), torch.zeros(2, 2), users=torch.tensor([0, 1]), mask=none)
    assert loss.denominators.logarithms[:2].isnan().tolist() == [True, False]
    both = torch.tensor([[False, False], [True, True]])
    loss(torch.zeros(2), torch.ones(2, 2), users=torch.tensor([1, 1]), mask=both)
    expected = math.log(0.1 + 0.9 * math.exp(10))
    assert loss.denominators.logarithms[1].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rate", [0.0, 1.5])
def test_a_broken_rate_is_named(rate):
    with pytest.raises(ArgumentError, match="rate must be"):
        GlobalContrastiveLoss(rate=rate)
