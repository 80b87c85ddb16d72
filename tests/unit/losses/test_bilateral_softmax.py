"""Bilateral softmax losses whose rows stand alone."""

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import BilateralRowLoss, DecoupledSoftmaxLoss, ReweightedSoftmaxLoss


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(6, generator=generator).double(), torch.rand((6, 9), generator=generator).double()


def test_both_are_the_softmax_loss_at_one_point(scores):
    expected = DecoupledSoftmaxLoss(0.3)(*scores)
    torch.testing.assert_close(BilateralRowLoss(0.3, 0.3)(*scores), expected)
    torch.testing.assert_close(ReweightedSoftmaxLoss(0.3, neg_weight=1.0)(*scores), expected)


def test_the_first_temperature_scales_only(scores):
    torch.testing.assert_close(3 * BilateralRowLoss(0.3, 0.2)(*scores), BilateralRowLoss(0.1, 0.2)(*scores))


def test_they_are_two_functions(scores):
    paper, code = BilateralRowLoss(0.1, 0.11)(*scores), ReweightedSoftmaxLoss(0.1, neg_weight=1.1)(*scores)
    assert abs(paper - code) > 0.01


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: BilateralRowLoss(0.0), "pos_temperature"),
        (lambda: BilateralRowLoss(0.1, -1.0), "neg_temperature"),
        (lambda: ReweightedSoftmaxLoss(0.0), "temperature"),
        (lambda: ReweightedSoftmaxLoss(neg_weight=0.0), "neg_weight"),
    ],
)
def test_a_broken_argument_is_named(make, name):
    with pytest.raises(ArgumentError, match=f"^{name} must be above 0"):
        make()
