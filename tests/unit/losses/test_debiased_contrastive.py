"""The debiased contrastive loss."""

import math

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import DebiasedContrastiveLoss, SampledSoftmaxLoss


def test_without_a_prior_it_is_the_sampled_softmax():
    generator = torch.Generator().manual_seed(0)
    pos, neg = torch.rand(6, generator=generator).double(), torch.rand((6, 9), generator=generator).double()
    debiased = DebiasedContrastiveLoss(0.3, positive_prior=0.0, neg_weight=9.0)(pos, neg)
    torch.testing.assert_close(debiased, SampledSoftmaxLoss(0.3, neg_weight=9.0)(pos, neg))


def test_what_positives_add_to_the_negatives_is_taken_out():
    """A share of the negatives are the positive: the loss is that of the others alone."""
    pos, true = torch.tensor([0.4]).double(), torch.tensor([[0.1, 0.2, 0.3]]).double()
    drawn = torch.cat([pos[:, None], true], dim=1)  # a quarter of them false
    debiased = DebiasedContrastiveLoss(0.5, positive_prior=0.25, neg_weight=3.0)(pos, drawn)
    torch.testing.assert_close(debiased, SampledSoftmaxLoss(0.5, neg_weight=3.0)(pos, true))


def test_the_floor_holds_where_nothing_is_left():
    pos, neg = torch.tensor([0.9], requires_grad=True), torch.tensor([[0.1, -0.3]], requires_grad=True)
    value = DebiasedContrastiveLoss(0.2, positive_prior=0.5, neg_weight=2.0)(pos, neg)
    value.backward()
    assert value.item() == pytest.approx(math.log1p(2 * math.exp((-1 - 0.9) / 0.2)), rel=1e-4)
    assert neg.grad.abs().max() == 0
    assert pos.grad.item() < 0


@pytest.mark.parametrize("distance", [0.0, 1e-7, 1e-6, 1e-5])
def test_next_to_the_floor_gradients_are_numbers(distance):
    prior = 0.1
    neg = torch.full((1, 1), 0.5 * math.log(prior) + distance, requires_grad=True)  # ratio = prior
    pos = torch.zeros(1, requires_grad=True)
    DebiasedContrastiveLoss(0.5, positive_prior=prior, lowest_score=-30.0)(pos, neg).backward()
    assert torch.isfinite(neg.grad).all()
    assert torch.isfinite(pos.grad).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"positive_prior": 1.0}, "positive_prior must be at least 0 and below 1"),
        ({"neg_weight": 0.0}, "neg_weight must be above 0"),
        ({"lowest_score": -math.inf}, "lowest_score must be a finite number"),
    ],
)
def test_a_broken_argument_is_named(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        DebiasedContrastiveLoss(**arguments)
