"""Sigmoid cross-entropy."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from multimargin.errors import ArgumentError
from multimargin.losses import GeneralizedBCELoss, Logistic, SigmoidCrossEntropyLoss

POS, NEG = torch.tensor([2.0, -1.0]), torch.tensor([[0.5, -3.0, 1.0], [0.0, 4.0, -1.0]])


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_with_a_sum_over_negatives_it_is_torchs(temperature):
    logits = torch.cat([POS[:, None], NEG], dim=1) / temperature
    expected = binary_cross_entropy_with_logits(logits, torch.eye(4)[:1].expand(2, 4), reduction="sum") / len(POS)
    torch.testing.assert_close(SigmoidCrossEntropyLoss(temperature, neg_weight=3.0)(POS, NEG), expected)


def test_generalized_cross_entropy_without_calibration_is_a_part_of_it():
    found = SigmoidCrossEntropyLoss(neg_weight=3.0)(POS, NEG)
    torch.testing.assert_close(found, 4 * GeneralizedBCELoss(0.0, neg_weight=3.0)(POS, NEG))


def test_is_meant_for_unbounded_scores():
    assert SigmoidCrossEntropyLoss.similarity == "dot"


def test_terms_carry_weights_and_temperature():
    loss = SigmoidCrossEntropyLoss(0.2, pos_weight=2.0, neg_weight=5.0)
    assert loss.terms() == Logistic(2.0, 5.0, 0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0; got 0.0"),
        ({"pos_weight": -1.0}, "pos_weight must be 0 or more; got -1.0"),
        ({"neg_weight": -1.0}, "neg_weight must be 0 or more; got -1.0"),
    ],
)
def test_a_broken_argument_is_named(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        SigmoidCrossEntropyLoss(**arguments)
