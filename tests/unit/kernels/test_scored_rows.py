"""Losses that kernels know row by row: each of the registry has PyTorch's value and autograd's slopes."""

from collections import namedtuple
from functools import partial

import numba
import numpy as np
import pytest
import torch
from loss_inputs import prepared

from multimargin.kernels.scored_steps.rows import positive_of, row_loss
from multimargin.losses import (
    LOSSES,
    BilateralRowLoss,
    BilateralSoftmaxLoss,
    GroupedSoftmaxLoss,
    KPairBPRLoss,
    ReweightedSoftmaxLoss,
    SampledSoftmaxLoss,
)
from multimargin.train.scored import _for_kernels

KNOWN = {name: partial(prepared, kind) for name, kind in LOSSES.items() if _for_kernels(prepared(kind)) is not None}
MORE = {
    "bsl": lambda: BilateralRowLoss(0.3, 0.07),
    "bsl of users": lambda: BilateralSoftmaxLoss(0.3, 0.07),
    "grouped": lambda: GroupedSoftmaxLoss(0.2, neg_weight=1.7),
    "reweighted": lambda: ReweightedSoftmaxLoss(0.07, neg_weight=1.3),
    "ssm": lambda: SampledSoftmaxLoss(0.2, neg_weight=40_000.0),
    "k-pair": lambda: KPairBPRLoss(neg_weight=7.0),
}
USERS = [4, 1, 4, 4, 2, 1]
Chains = namedtuple("Chains", "leader following")


@numba.njit(error_model="numpy")
def lose(pos_scores, neg_scores, loss, chains, costs, pos_slopes, slopes):
    """Fill in what each row costs and its slopes."""
    for b in range(len(pos_scores)):
        positive, share = positive_of(b, pos_scores, loss, chains)
        costs[b], slope = row_loss(
            positive, neg_scores[b], loss, np.float32(1 / len(pos_scores)), slopes[b],
            np.empty(neg_scores.shape[1], np.float32), np.empty(16, np.float32),
        )  # fmt: skip
        pos_slopes[b] = slope * share


def by_kernel(loss, pos_scores, neg_scores):
    """Return the loss, and the slopes of both; rows are of ``USERS``."""
    users = USERS[: len(pos_scores)]
    leader = [users.index(u) for u in users]
    following = [next((c for c in range(b + 1, len(users)) if users[c] == u), -1) for b, u in enumerate(users)]
    costs, pos_slopes, slopes = np.empty(len(users)), np.empty_like(pos_scores), np.empty_like(neg_scores)
    chains = Chains(np.array(leader), np.array(following))
    lose(pos_scores, neg_scores, _for_kernels(loss), chains, costs, pos_slopes, slopes)
    return costs.mean(), pos_slopes, slopes


def test_the_usual_ones_are_known():
    assert {"sampled-softmax", "decoupled-softmax", "reweighted-softmax", "bpr", "k-pair-bpr"} <= set(KNOWN)
    assert {"bilateral-row", "bilateral-softmax", "grouped-softmax", "mean-squared-error", "multi-margin"} <= set(KNOWN)


@pytest.mark.parametrize("name", [*KNOWN, *MORE])
@pytest.mark.parametrize("n", [1, 5, 16, 37, 100])
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_value_and_slopes_are_those_of_pytorch(name, n, spread):
    loss = (KNOWN | MORE)[name]()
    rng = np.random.default_rng(n)
    pos, neg = (spread * rng.standard_normal(shape).astype(np.float32) for shape in (6, (6, n)))
    leaves = [torch.from_numpy(each).double().requires_grad_() for each in (pos, neg)]
    users = {"users": torch.tensor(USERS)} if "users" in loss.needs else {}
    exact = loss.double()(*leaves, **users)
    exact.backward()
    total, pos_slopes, slopes = by_kernel(loss, pos, neg)
    assert total == pytest.approx(exact.item(), rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(pos_slopes, leaves[0].grad, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(slopes, leaves[1].grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["sampled-softmax", "decoupled-softmax", "bpr", "k-pair-bpr", "grouped-softmax"])
@pytest.mark.parametrize("score", [-1e4, 1e4])
def test_extreme_scores_stay_finite(name, score):
    neg = np.array([[score, -score, 0.0]], np.float32)
    total, pos_slopes, slopes = by_kernel(KNOWN[name](), np.array([-score], np.float32), neg)
    assert np.isfinite(total)
    assert np.isfinite(pos_slopes).all()
    assert np.isfinite(slopes).all()
