"""Losses that kernels know row by row: what a row costs, and the slopes of its scores.

With x_n = s_n / tau and M = log mean exp x, the softmax losses are w M - a s or log(1 + w e^(M - s / tau)), so that

    dl/ds_n = w / tau p_n,  dl/ds = -a        or        sigmoid / tau p_n,  -sigmoid / tau,        p = softmax(x),

and the logistic loss of differences is the mean of log(1 + e^(s_n - s)). Where the soft maximum over a user's rows
stands for s in each of them, the slope of one of theirs is -a times its share in that, from all of them.
"""

from typing import NamedTuple

import numba
import numpy as np

from multimargin.kernels.rows import highest
from multimargin.kernels.terms import Terms, exp_below, negative_terms, of_hinges, positive_term, softplus

OUTSIDE, INSIDE, PAIRWISE, PAIRS = 0, 1, 2, 3
_NO_TERMS = of_hinges(0.0, (), ())


class RowLoss(NamedTuple):
    """One kind of loss and its constants (``losses/facts.py`` has the formulas)."""

    kind: int
    scale: np.float32  # 1 / temperature
    neg_weight: np.float32
    pos_weight: np.float32
    pos_scale: np.float32  # 1 / temperature of the soft maximum over a user's positives; 0: of each alone
    terms: Terms  # of a sum over pairs


def of_softmax(
    temperature: float, neg_weight: float, pos_weight: float | None, pos_temperature: float | None
) -> RowLoss:
    """Return ``losses.facts.SoftMaximum`` as kernels know it."""
    kind = INSIDE if pos_weight is None else OUTSIDE
    pos_scale = 0.0 if pos_temperature is None else 1 / pos_temperature
    return _row_loss(kind, 1 / temperature, neg_weight, pos_weight or 0.0, pos_scale)


def of_differences() -> RowLoss:
    """Return ``losses.facts.PairwiseLogistic`` as kernels know it."""
    return _row_loss(PAIRWISE)


def of_pairs(terms: Terms) -> RowLoss:
    """Return a sum over pairs as a loss of rows."""
    return _row_loss(PAIRS, terms=terms)


def _row_loss(
    kind: int,
    scale: float = 1.0,
    neg_weight: float = 1.0,
    pos_weight: float = 1.0,
    pos_scale: float = 0.0,
    terms: Terms = _NO_TERMS,
) -> RowLoss:
    return RowLoss(
        kind, np.float32(scale), np.float32(neg_weight), np.float32(pos_weight), np.float32(pos_scale), terms
    )


@numba.njit(inline="always")
def positive_of(b, scores, loss, x):
    """Return the score that stands for the positive of row ``b``, and its slope by the row's own score, of all rows."""
    score, slope = scores[b], np.float32(1)
    if loss.pos_scale > 0:
        top, total, count = scores[b], np.float32(0), 0
        c = x.leader[b]
        while c >= 0:
            top, count = max(top, scores[c]), count + 1
            c = x.following[c]
        c = x.leader[b]
        while c >= 0:
            total += np.exp((scores[c] - top) * loss.pos_scale)
            c = x.following[c]
        slope = np.exp((scores[b] - top) * loss.pos_scale) * np.float32(count) / total
        score = top + np.float32(np.log(np.float64(total) / count)) / loss.pos_scale
    return score, slope


@numba.njit(inline="always")
def _softmax_row(score, scores, loss, per_row, slopes, room):
    """Return cost and slope of a softmax loss; fill the negatives' slopes."""
    n, top = len(scores), highest(scores, room)
    for k in range(n):
        slopes[k] = exp_below((scores[k] - top) * loss.scale)
    total = np.float32(0)
    for k in range(n):
        total += slopes[k]
    mean = np.float32(np.log(np.float64(total) / n))
    if loss.kind == OUTSIDE:
        cost = loss.neg_weight * (top * loss.scale + mean) - loss.pos_weight * score
        push, slope = loss.neg_weight, -loss.pos_weight
    else:
        ahead = (top - score) * loss.scale + mean + np.float32(np.log(np.float64(loss.neg_weight)))
        cost, push = softplus(ahead)
        slope = -push * loss.scale
    factor = push * loss.scale * per_row / total
    for k in range(n):
        slopes[k] *= factor
    return cost, slope


@numba.njit(inline="always")
def row_loss(score, scores, loss, per_row, slopes, costs, room):
    """Return what a row costs, and ``per_row`` times the slope of its positive's ``score``; fill those of ``scores``.

    ``costs`` is room for as many, ``room`` for 16.
    """
    n = len(scores)
    if loss.kind == OUTSIDE or loss.kind == INSIDE:
        cost, slope = _softmax_row(score, scores, loss, per_row, slopes, room)
        return np.float64(cost), slope * per_row
    per_pair, push = per_row / np.float32(n), np.float32(0)
    if loss.kind == PAIRWISE:
        for k in range(n):
            costs[k], slope = softplus(scores[k] - score)
            slopes[k] = slope * per_pair
        for k in range(n):
            push += costs[k]
        slope = np.float32(0)
        for k in range(n):
            slope -= slopes[k]
        return np.float64(push / np.float32(n)), slope
    negative_terms(loss.terms, scores, n, costs, slopes)
    for k in range(n):
        push += costs[k]
    for k in range(n):
        slopes[k] *= per_pair
    cost, slope = positive_term(loss.terms, score)
    return np.float64(cost) + np.float64(push / np.float32(n)), slope * per_row
