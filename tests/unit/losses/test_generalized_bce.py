"""Generalised binary cross-entropy."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from multimargin.errors import ArgumentError
from multimargin.losses import GeneralizedBCELoss


def test_without_calibration_it_is_cross_entropy():
    pos, neg = torch.tensor([2.0, -1.0]), torch.tensor([[0.5, -3.0, 1.0], [0.0, 4.0, -1.0]])
    logits = torch.cat([pos[:, None], neg], dim=1)
    expected = binary_cross_entropy_with_logits(logits, torch.eye(4)[:1].expand(2, 4))
    torch.testing.assert_close(GeneralizedBCELoss(0.0, neg_weight=3.0)(pos, neg), expected)


def test_fully_calibrated_sigmoids_are_probabilities():
    """The minimum for one item that is positive with probability p, drawn at rate a: sigma = p."""
    rate, probability = 0.1, 0.3
    score = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    # in expectation: p positives, and (1 - p) a negatives drawn with a weight of 1 each
    loss = GeneralizedBCELoss(1.0, sampling_rate=rate, neg_weight=1.0)
    alone = torch.zeros((1, 1), dtype=torch.bool)
    for _ in range(2000):
        none = torch.zeros((1, 1), dtype=torch.float64)
        pull = loss(score, none, mask=alone)
        push = loss(torch.full((1,), 1e4, dtype=torch.float64), score[:, None])
        (gradient,) = torch.autograd.grad(probability * pull + (1 - probability) * rate * push, score)
        score = (score - 20 * gradient).detach().requires_grad_()
    assert torch.sigmoid(score).item() == pytest.approx(probability, abs=1e-3)


def test_is_meant_for_unbounded_scores():
    assert GeneralizedBCELoss.similarity == "dot"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"calibration": 1.5}, "calibration must be at least 0 and at most 1; got 1.5"),
        ({"sampling_rate": -0.1}, "sampling_rate must be at least 0 and at most 1"),
        ({"neg_weight": 0}, "neg_weight must be above 0"),
        ({"calibration": 1.0}, r"calibration must be below 1 where sampling_rate is 0; got 1.0. Give sampling_rate"),
    ],
)
def test_a_broken_argument_is_named(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        GeneralizedBCELoss(**arguments)
