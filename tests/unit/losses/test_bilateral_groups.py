"""Bilateral softmax losses over a user's positives."""

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import BilateralRowLoss, BilateralSoftmaxLoss, GroupedSoftmaxLoss, ReweightedSoftmaxLoss


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(6, generator=generator).double(), torch.rand((6, 9), generator=generator).double()


def test_users_that_differ_stand_alone(scores):
    users = torch.arange(6)
    paper, code = BilateralSoftmaxLoss(0.3, 0.2), GroupedSoftmaxLoss(0.3, neg_weight=1.2)
    torch.testing.assert_close(paper(*scores, users=users), 0.3 * BilateralRowLoss(0.3, 0.2)(*scores))
    torch.testing.assert_close(code(*scores, users=users), ReweightedSoftmaxLoss(0.3, neg_weight=1.2)(*scores))


@pytest.mark.parametrize("loss", [BilateralSoftmaxLoss(0.01, 0.2), GroupedSoftmaxLoss(0.01)])
def test_a_small_temperature_trusts_a_users_best_positive(scores, loss):
    pos, neg = scores
    pos.requires_grad_()
    loss(pos, neg, users=torch.zeros(6, dtype=torch.int64)).backward()
    pull = -pos.grad / -pos.grad.sum()
    assert pull[pos.argmax()] > 0.9


def test_names_and_numbers_of_users_do_not_matter(scores):
    few, many = torch.tensor([1, 0, 1, 2, 2, 2]), torch.tensor([900, 30, 900, 7, 7, 7])
    torch.testing.assert_close(GroupedSoftmaxLoss()(*scores, users=few), GroupedSoftmaxLoss()(*scores, users=many))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: BilateralSoftmaxLoss(0.0), "pos_temperature"),
        (lambda: BilateralSoftmaxLoss(0.1, -1.0), "neg_temperature"),
        (lambda: GroupedSoftmaxLoss(0.0), "temperature"),
        (lambda: GroupedSoftmaxLoss(neg_weight=0.0), "neg_weight"),
    ],
)
def test_a_broken_argument_is_named(make, name):
    with pytest.raises(ArgumentError, match=f"^{name} must be above 0"):
        make()
