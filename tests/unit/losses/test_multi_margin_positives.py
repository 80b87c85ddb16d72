"""The Multi-Margin Loss with margins for the positive too."""

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import MultiMarginPositivesLoss


def test_the_pull_is_what_the_weights_leave():
    pos = torch.tensor([0.1, 0.5, 0.6, 0.75, 1.0], requires_grad=True)
    neg = torch.zeros(5, 1)
    MultiMarginPositivesLoss((0.5, 0.75), (0.25, 0.5), pos_weight=4.0)(pos, neg).backward()
    # below both margins: 0.75 + 0.5; below one, or at the other: 0.5; at or above all: nothing
    assert (5 * pos.grad / 4).tolist() == pytest.approx([-1.25, -0.5, -0.5, 0.0, 0.0])


def test_a_weight_above_one_is_named():
    with pytest.raises(ArgumentError, match=r"margin_weights\[1\] must be at least 0 and at most 1; got 2"):
        MultiMarginPositivesLoss((0.5, 0.75), (0.25, 2.0))


def test_arguments_show():
    shown = "MultiMarginPositivesLoss((0.7, 0.8, 0.9), (0.1, 0.15, 0.75), pos_weight=1, neg_weight=700)"
    assert repr(MultiMarginPositivesLoss()) == shown
