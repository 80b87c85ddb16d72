"""WARP."""

import numpy as np
import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import Statistics, WARPLoss


def prepared(n_items, margin=1.0):
    loss = WARPLoss(margin)
    loss.prepare(Statistics(1, n_items, np.array([0]), np.array([0])), rng=np.random.default_rng(0))
    return loss


def test_the_weight_is_harmonic_in_the_rank():
    for violators, rank in ((1, 3), (2, 6), (4, 12)):  # of 4 draws, of 12 other items
        neg = torch.full((1, 4), -9.0)
        neg[0, :violators] = 0.5
        harmonic = sum(1 / k for k in range(1, rank + 1))
        value = prepared(13, 0.25)(torch.tensor([0.5]), neg)
        assert value.item() == pytest.approx(harmonic * 0.25, rel=1e-5)


def test_all_draws_estimate_the_rank_and_its_loss():
    generator = torch.Generator().manual_seed(0)
    items = torch.randn(2001, generator=generator)
    exact = prepared(2001)(torch.tensor([1.5]), items[None, 1:])
    drawn = items[1 + torch.randint(2000, (1, 100_000), generator=generator)]
    assert prepared(2001)(torch.tensor([1.5]), drawn).item() == pytest.approx(exact.item(), rel=0.01)


def test_without_a_violator_nothing_is_learnt():
    pos = torch.tensor([2.0], requires_grad=True)
    value = prepared(10)(pos, torch.tensor([[0.5, 1.0]]))
    value.backward()
    assert value.item() == pos.grad.item() == 0


def test_a_masked_violator_does_not_count():
    loss, mask = prepared(10), torch.tensor([[False, True]])
    assert loss(torch.tensor([0.0]), torch.tensor([[9.0, -2.0]]), mask=mask).item() == 0


def test_a_broken_margin_is_named():
    with pytest.raises(ArgumentError, match="margin must be above 0"):
        WARPLoss(0.0)
