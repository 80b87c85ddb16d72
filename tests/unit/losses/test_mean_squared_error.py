"""Mean squared error."""

import pytest
import torch
from torch.nn.functional import mse_loss

from multimargin.errors import ArgumentError
from multimargin.losses import MeanSquaredErrorLoss, Squares


def test_with_a_sum_over_negatives_it_is_half_the_squared_error():
    pos, neg = torch.tensor([2.0, -1.0]), torch.tensor([[0.5, -3.0, 1.0], [0.0, 4.0, -1.0]])
    scores = torch.cat([pos[:, None], neg], dim=1)
    expected = mse_loss(scores, torch.eye(4)[:1].expand(2, 4), reduction="sum") / (2 * len(pos))
    torch.testing.assert_close(MeanSquaredErrorLoss(neg_weight=3.0)(pos, neg), expected)


def test_a_positive_at_1_and_negatives_at_0_are_at_rest():
    pos, neg = torch.ones(2, requires_grad=True), torch.zeros((2, 3), requires_grad=True)
    MeanSquaredErrorLoss()(pos, neg).backward()
    assert not pos.grad.any()
    assert not neg.grad.any()


def test_terms_carry_both_weights():
    assert MeanSquaredErrorLoss(pos_weight=2.0, neg_weight=5.0).terms() == Squares(2.0, 5.0)


@pytest.mark.parametrize("name", ["pos_weight", "neg_weight"])
def test_a_broken_argument_is_named(name):
    with pytest.raises(ArgumentError, match=f"{name} must be 0 or more; got -1.0"):
        MeanSquaredErrorLoss(**{name: -1.0})
