"""Bayesian Personalised Ranking."""

import math

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import BPRLoss, KPairBPRLoss


def test_equals_plain_loops():
    pos, neg = [2.0, -0.5], [[1.0, 3.0, 2.0], [0.0, -4.0, 0.5]]
    pairs = [math.log1p(math.exp(s - p)) for p, row in zip(pos, neg, strict=True) for s in row]
    value = BPRLoss()(torch.tensor(pos), torch.tensor(neg))
    assert value.item() == pytest.approx(sum(pairs) / 6, rel=1e-6)


def test_equal_scores_cost_log_two():
    assert BPRLoss()(torch.ones(3), torch.ones(3, 5)).item() == pytest.approx(math.log(2))


def test_is_no_sum_over_pairs():
    assert BPRLoss().terms() is None


def test_k_pairs_equal_plain_loops():
    pos, neg = [2.0, -0.5], [[1.0, 3.0, 2.0], [0.0, -4.0, 0.5]]
    rows = [math.log(1 + sum(math.exp(s - p) for s in row)) for p, row in zip(pos, neg, strict=True)]
    value = KPairBPRLoss(neg_weight=3.0)(torch.tensor(pos), torch.tensor(neg))
    assert value.item() == pytest.approx(sum(rows) / 2, rel=1e-6)


def test_one_pair_is_bpr():
    pos, neg = torch.tensor([0.3, 2.0, -9.0]), torch.tensor([[1.0], [-3.0], [40.0]])
    torch.testing.assert_close(KPairBPRLoss()(pos, neg), BPRLoss()(pos, neg))


def test_k_pairs_push_the_hardest():
    neg = torch.tensor([[0.0, 5.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(KPairBPRLoss(neg_weight=2.0)(torch.zeros(1), neg), neg)
    assert gradient[0, 1] / gradient[0, 0] == pytest.approx(math.exp(5), rel=1e-5)


def test_a_broken_weight_is_named():
    with pytest.raises(ArgumentError, match="neg_weight must be above 0"):
        KPairBPRLoss(neg_weight=-1)
