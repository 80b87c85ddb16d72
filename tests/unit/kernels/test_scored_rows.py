"""Losses that kernels know row by row: each of the registry has PyTorch's value and autograd's slopes."""

import numba
import numpy as np
import pytest
import torch

from multimargin.kernels.scored_steps.rows import row_loss
from multimargin.losses import LOSSES, BilateralRowLoss, KPairBPRLoss, ReweightedSoftmaxLoss, SampledSoftmaxLoss
from multimargin.train.scored import _for_kernels

KNOWN = {name: kind for name, kind in LOSSES.items() if _for_kernels(kind()) is not None}
MORE = {
    "bsl": lambda: BilateralRowLoss(0.3, 0.07),
    "reweighted": lambda: ReweightedSoftmaxLoss(0.07, neg_weight=1.3),
    "ssm": lambda: SampledSoftmaxLoss(0.2, neg_weight=40_000.0),
    "k-pair": lambda: KPairBPRLoss(neg_weight=7.0),
}
compiled = numba.njit(row_loss.py_func, error_model="numpy")


def by_kernel(loss, pos_scores, neg_scores):
    """Return the loss, and the slopes of both."""
    batch, n = neg_scores.shape
    slopes, room, total, pos_slopes = np.empty((batch, n), np.float32), np.empty(16, np.float32), 0.0, []
    for b in range(batch):
        cost, slope = compiled(
            pos_scores[b], neg_scores[b], _for_kernels(loss), np.float32(1 / batch), slopes[b],
            np.empty(n, np.float32), room,
        )  # fmt: skip
        total += cost / batch
        pos_slopes.append(slope)
    return total, np.array(pos_slopes), slopes


def test_the_usual_ones_are_known():
    assert {"sampled-softmax", "decoupled-softmax", "reweighted-softmax", "bilateral-row", "bpr", "k-pair-bpr"} <= set(
        KNOWN
    )
    assert {"mean-squared-error", "multi-margin"} <= set(KNOWN)


@pytest.mark.parametrize("name", [*KNOWN, *MORE])
@pytest.mark.parametrize("n", [1, 5, 16, 37, 100])
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_value_and_slopes_are_those_of_pytorch(name, n, spread):
    loss = (KNOWN | MORE)[name]()
    rng = np.random.default_rng(n)
    pos, neg = (spread * rng.standard_normal(shape).astype(np.float32) for shape in (6, (6, n)))
    leaves = [torch.from_numpy(each).double().requires_grad_() for each in (pos, neg)]
    exact = loss.double()(*leaves)
    exact.backward()
    total, pos_slopes, slopes = by_kernel(loss, pos, neg)
    assert total == pytest.approx(exact.item(), rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(pos_slopes, leaves[0].grad, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(slopes, leaves[1].grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["sampled-softmax", "decoupled-softmax", "bpr", "k-pair-bpr"])
@pytest.mark.parametrize("score", [-1e4, 1e4])
def test_extreme_scores_stay_finite(name, score):
    neg = np.array([[score, -score, 0.0]], np.float32)
    total, pos_slopes, slopes = by_kernel(KNOWN[name](), np.array([-score], np.float32), neg)
    assert np.isfinite(total)
    assert np.isfinite(pos_slopes).all()
    assert np.isfinite(slopes).all()
