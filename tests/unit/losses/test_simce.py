"""SimCE: the hardest negative alone."""

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import KPairBPRLoss, SimCELoss


def test_only_the_hardest_negative_that_counts_has_a_gradient():
    neg = torch.tensor([[0.25, 0.5, 0.9]], requires_grad=True)
    mask = torch.tensor([[True, True, False]])
    value = SimCELoss(1.0)(torch.tensor([0.75]), neg, mask=mask)
    value.backward()
    assert value.item() == 0.75
    assert neg.grad.tolist() == [[0.0, 1.0, 0.0]]


def test_a_row_without_negatives_costs_nothing():
    pos = torch.zeros(2, requires_grad=True)
    mask = torch.tensor([[False, False], [True, True]])
    value = SimCELoss(1.0)(pos, torch.zeros(2, 2), mask=mask)
    value.backward()
    assert value.item() == 0.5
    assert pos.grad.tolist() == [0.0, -0.5]


def test_is_what_k_pairs_tend_to():
    pos, neg = torch.tensor([0.1, 0.9]).double(), torch.tensor([[0.5, 0.7], [0.2, 0.3]]).double()
    scale = 1e4
    torch.testing.assert_close(
        KPairBPRLoss()(scale * pos, scale * neg) / scale, SimCELoss(0)(pos, neg), atol=1e-3, rtol=0
    )


def test_a_broken_margin_is_named():
    with pytest.raises(ArgumentError, match="margin must be 0 or more"):
        SimCELoss(-0.5)
