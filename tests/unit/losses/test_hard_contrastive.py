"""The contrastive loss with hard negatives."""

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import DebiasedContrastiveLoss, HardContrastiveLoss


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(6, generator=generator).double(), torch.rand((6, 9), generator=generator).double()


def test_without_hardness_it_is_debiased(scores):
    expected = DebiasedContrastiveLoss(0.5, positive_prior=0.1)(*scores)
    torch.testing.assert_close(HardContrastiveLoss(0.5, hardness=0.0, positive_prior=0.1)(*scores), expected)


def test_much_hardness_leaves_the_hardest(scores):
    pos, neg = scores
    hardest = DebiasedContrastiveLoss(0.5, positive_prior=0.1)(pos, neg.amax(1, keepdim=True))
    value = HardContrastiveLoss(0.5, hardness=1e4, positive_prior=0.1)(pos, neg)
    torch.testing.assert_close(value, hardest, rtol=0, atol=1e-3)


def test_gradients_flow_through_the_weights():
    """Raising the lowest negative takes weight from the highest: the loss falls."""
    neg = torch.tensor([[0.9, -0.9]], requires_grad=True)
    HardContrastiveLoss()(torch.tensor([0.5]), neg).backward()
    assert neg.grad[0, 0] > 0
    assert neg.grad[0, 1] < 0
    assert HardContrastiveLoss.breaks == {"monotone"}


def test_a_row_without_negatives_has_the_floor():
    none = torch.zeros((1, 2), dtype=torch.bool)
    pos = torch.tensor([0.5])
    value = HardContrastiveLoss()(pos, torch.zeros(1, 2), mask=none)
    torch.testing.assert_close(value, DebiasedContrastiveLoss()(pos, torch.full((1, 2), -1.0)))


def test_a_broken_argument_is_named():
    with pytest.raises(ArgumentError, match="hardness must be 0 or more; got -1"):
        HardContrastiveLoss(hardness=-1)
