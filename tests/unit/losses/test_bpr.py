"""Bayesian Personalised Ranking."""

import math

import pytest
import torch

from multimargin.losses import BPRLoss


def test_equals_plain_loops():
    pos, neg = [2.0, -0.5], [[1.0, 3.0, 2.0], [0.0, -4.0, 0.5]]
    pairs = [math.log1p(math.exp(s - p)) for p, row in zip(pos, neg, strict=True) for s in row]
    value = BPRLoss()(torch.tensor(pos), torch.tensor(neg))
    assert value.item() == pytest.approx(sum(pairs) / 6, rel=1e-6)


def test_equal_scores_cost_log_two():
    assert BPRLoss()(torch.ones(3), torch.ones(3, 5)).item() == pytest.approx(math.log(2))


def test_is_no_sum_of_hinges():
    assert BPRLoss().hinges() is None
