"""The pairwise margin loss."""

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import PairwiseMarginLoss


def test_equals_plain_loops():
    pos, neg = [0.5, -0.25], [[0.25, 0.75], [-1.0, -0.5]]
    pairs = [max(0.0, 0.5 + s - p) for p, row in zip(pos, neg, strict=True) for s in row]
    assert PairwiseMarginLoss(0.5)(torch.tensor(pos), torch.tensor(neg)).item() == pytest.approx(sum(pairs) / 4)


def test_at_the_margin_there_is_no_gradient():
    neg = torch.tensor([[0.25, 0.375, 0.125]], requires_grad=True)
    PairwiseMarginLoss(0.25)(torch.tensor([0.5]), neg).backward()
    assert neg.grad.tolist() == [[0.0, pytest.approx(1 / 3), 0.0]]


def test_a_broken_margin_is_named():
    with pytest.raises(ArgumentError, match="margin must be 0 or more; got -1"):
        PairwiseMarginLoss(-1)
