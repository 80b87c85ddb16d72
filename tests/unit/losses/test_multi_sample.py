"""The multi-sample contrastive loss."""

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import MultiSampleContrastiveLoss, SampledSoftmaxLoss


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(6, generator=generator).double(), torch.rand((6, 9), generator=generator).double()


def test_half_a_pull_on_one_positive_is_half_the_softmax(scores):
    loss = MultiSampleContrastiveLoss(0.2, pull=0.5, n_positives=1, neg_weight=9.0)
    assert loss.extra_positives == 0
    torch.testing.assert_close(2 * loss(*scores), SampledSoftmaxLoss(0.2, neg_weight=9.0)(*scores))


def test_every_positive_counts_alike(scores):
    pos, neg = scores
    loss = MultiSampleContrastiveLoss(0.2, n_positives=3)
    more = torch.stack((pos * 0.5, pos - 0.3), dim=1)
    single = MultiSampleContrastiveLoss(0.2, n_positives=1)
    expected = (single(pos, neg) + single(pos * 0.5, neg) + single(pos - 0.3, neg)) / 3
    torch.testing.assert_close(loss(pos, neg, extra_positive_scores=more), expected)


def test_a_positive_far_ahead_is_pushed_back():
    pos = torch.tensor([1.0], requires_grad=True)
    MultiSampleContrastiveLoss(0.2, pull=0.45, n_positives=1)(pos, torch.full((1, 4), -1.0)).backward()
    assert pos.grad.item() == pytest.approx((1 - 2 * 0.45) / 0.2, rel=0.05)


@pytest.mark.parametrize("pull", [0.0, 1.0, -0.5])
def test_a_broken_pull_is_named(pull):
    with pytest.raises(ArgumentError, match="pull must be"):
        MultiSampleContrastiveLoss(pull=pull)


def test_arguments_show():
    shown = "MultiSampleContrastiveLoss(0.2, pull=0.45, n_positives=15, neg_weight=100)"
    assert repr(MultiSampleContrastiveLoss()) == shown
