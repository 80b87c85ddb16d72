"""The plug-in form of Variational BPR; what both forms share is in test_variational_bpr.py."""

import math

import pytest
import torch
from loss_inputs import prepared

from multimargin.losses import VariationalBPRPlugInLoss


def test_means_are_taken_before_the_logarithm():
    loss = prepared(VariationalBPRPlugInLoss, pos_scale=1e9, neg_scale=1e9, n_positives=2, pos_rarity=0.0,
                    pos_hardness=0.0, neg_hardness=0.0)  # fmt: skip
    value = loss(torch.tensor([1.0]), torch.tensor([[0.5, -0.1]]), extra_positive_scores=torch.tensor([[0.2]]))
    assert value.item() == pytest.approx(math.log1p(math.exp(0.2 - 0.6)), rel=1e-6)


def test_a_row_without_negatives_costs_nothing():
    loss = prepared(VariationalBPRPlugInLoss, n_positives=1, pos_rarity=0.0)
    mask = torch.zeros((1, 2), dtype=torch.bool)
    assert loss(torch.zeros(1), torch.ones(1, 2), mask=mask).item() == 0
