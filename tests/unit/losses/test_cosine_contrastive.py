"""The Cosine Contrastive Loss."""

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import CosineContrastiveLoss


def test_equals_plain_loops():
    pos, neg = [0.3, 1.2], [[0.95, 0.2], [0.5, 0.91]]
    expected = ((0.7 + 4 * (0.05 + 0) / 2) + (0 + 4 * (0 + 0.01) / 2)) / 2
    value = CosineContrastiveLoss(0.9, neg_weight=4.0)(torch.tensor(pos), torch.tensor(neg))
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_defaults_are_simplex_on_gowalla():
    assert repr(CosineContrastiveLoss()) == "CosineContrastiveLoss(0.9, pos_weight=1, neg_weight=150)"
    hinges = CosineContrastiveLoss().terms()
    assert (hinges.positive_slope, hinges.margins, hinges.slopes) == (1.0, (0.9,), (150.0,))


@pytest.mark.parametrize(
    "arguments", [{"margin": float("nan")}, {"margin": "0.9"}, {"neg_weight": -1}, {"pos_weight": None}]
)
def test_a_broken_argument_is_named(arguments):
    with pytest.raises(ArgumentError, match=f"{next(iter(arguments))} must"):
        CosineContrastiveLoss(**arguments)
