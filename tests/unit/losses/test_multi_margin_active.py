"""The Multi-Margin Loss with a mean over active negatives."""

import pytest
import torch

from multimargin.losses import MultiMarginActiveLoss


def test_inactive_negatives_and_margins_without_weight_count_for_nothing():
    loss = MultiMarginActiveLoss((0.25, 0.5, 0.75), (1.0, 0.0, 3.0), neg_weight=2.0)
    pos = torch.ones(1)
    few = loss(pos, torch.tensor([[1.0]]))
    assert few.item() == pytest.approx(2 * (0.75 + 3 * 0.25) / 2)  # two margins of weight above 0
    assert loss(pos, torch.tensor([[1.0, 0.25, 0.1, -1.0]])) == few
    assert loss(pos, torch.tensor([[0.25, 0.1]])).item() == 0


def test_a_masked_negative_is_not_active():
    loss = MultiMarginActiveLoss((0.5,), (1.0,), neg_weight=1.0)
    value = loss(torch.ones(1), torch.tensor([[1.0, 0.75]]), mask=torch.tensor([[False, True]]))
    assert value.item() == 0.25


def test_a_negative_that_becomes_active_lowers_the_mean():
    loss = MultiMarginActiveLoss((0.5,), (1.0,), neg_weight=1.0)
    before, after = (loss(torch.ones(1), torch.tensor([[1.0, low]])) for low in (0.5, 0.51))
    assert after < before
    assert MultiMarginActiveLoss.breaks == {"monotone"}
