"""Variational BPR, v1."""

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import AttentiveBPRLoss, BPRLoss


def test_one_positive_and_one_negative_are_bpr():
    pos, neg = torch.tensor([0.3, -1.0]), torch.tensor([[1.0], [0.5]])
    torch.testing.assert_close(AttentiveBPRLoss(n_positives=1)(pos, neg), BPRLoss()(pos, neg))


def test_small_scales_look_at_the_hardest_negative_and_the_best_positive():
    pos, neg, more = torch.tensor([0.2]), torch.tensor([[-0.5, 0.4]]), torch.tensor([[0.9]])
    value = AttentiveBPRLoss(1e-3, 1e-3)(pos, neg, extra_positive_scores=more)
    torch.testing.assert_close(value, BPRLoss()(torch.tensor([0.9]), torch.tensor([[0.4]])))


def test_attention_has_a_gradient():
    neg = torch.tensor([[0.0, 2.0]], requires_grad=True)
    AttentiveBPRLoss(n_positives=1)(torch.zeros(1), neg).backward()
    assert neg.grad[0, 0] < 0 < neg.grad[0, 1]


@pytest.mark.parametrize("arguments", [{"pos_scale": 0.0}, {"neg_scale": -0.5}, {"n_positives": 0}])
def test_a_broken_argument_is_named(arguments):
    with pytest.raises(ArgumentError, match=f"^{next(iter(arguments))} must"):
        AttentiveBPRLoss(**arguments)
