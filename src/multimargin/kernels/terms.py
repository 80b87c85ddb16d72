"""Losses that are sums over pairs, as kernels know them: what a pair costs at its score, and the slope there.

Written so that loops over scores are vectorised: with x = s / temperature and t = exp(-|x|),

    -log(1 - sigmoid(x)) = max(x, 0) + log1p(t),        sigmoid(x) = 1 / (1 + t), or t / (1 + t) where x < 0,

exp by a polynomial over half an octave and log1p(t) = 2 artanh(t / (2 + t)) by its series, both to the last bits of
float32.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

HINGES, SQUARES, LOGISTIC = 0, 1, 2  # lengths of ``Terms.kind``

_LOWEST = np.float32(-80)  # exp of it, times the weight of a pair, is no denormal number
_PER_OCTAVE = np.float32(1.4426950408889634)  # 1 / log 2
_OCTAVE_HIGH, _OCTAVE_LOW = np.float32(0.693359375), np.float32(-2.12194440054690583e-4)  # their sum is log 2


class Terms(NamedTuple):
    """One kind of loss and its constants (``losses/facts.py`` has the formulas)."""

    kind: tuple[int, ...]  # by its length, which is known when code is compiled: what is not used is left out
    pos_weight: np.float32
    neg_weight: np.float32
    margins: Any  # (M,) float32, of hinges; else empty
    slopes: Any  # (M,) float32
    scale: np.float32  # 1 / temperature


def as_constant(number: int) -> tuple[int, ...]:
    """Return ``number`` as the length of a tuple, which compiled code knows from its type."""
    return (0,) * int(number)


def of_hinges(positive_slope: float, margins: tuple[float, ...], slopes: tuple[float, ...]) -> Terms:
    """Return ``losses.facts.Hinges`` as kernels know them."""
    return _terms(HINGES, positive_slope, 1.0, 1.0, margins, slopes)


def of_squares(pos_weight: float, neg_weight: float) -> Terms:
    """Return ``losses.facts.Squares`` as kernels know them."""
    return _terms(SQUARES, pos_weight, neg_weight, 1.0)


def of_logistic(pos_weight: float, neg_weight: float, temperature: float) -> Terms:
    """Return ``losses.facts.Logistic`` as kernels know them."""
    return _terms(LOGISTIC, pos_weight, neg_weight, 1 / temperature)


def _terms(
    kind: int,
    pos_weight: float,
    neg_weight: float,
    scale: float,
    margins: tuple[float, ...] = (),
    slopes: tuple[float, ...] = (),
) -> Terms:
    return Terms(
        as_constant(kind),
        np.float32(pos_weight),
        np.float32(neg_weight),
        np.array(margins, dtype=np.float32),
        np.array(slopes, dtype=np.float32),
        np.float32(scale),
    )


@numba.njit(inline="always")
def exp_below(y):
    """Return exp(y) for float32 y <= 0; from -80 on it is that of -80."""
    y = max(y, _LOWEST)
    n = np.floor(y * _PER_OCTAVE + np.float32(0.5))
    r = (y - n * _OCTAVE_HIGH) - n * _OCTAVE_LOW
    t = np.float32(1 / 5040)
    t = t * r + np.float32(1 / 720)
    t = t * r + np.float32(1 / 120)
    t = t * r + np.float32(1 / 24)
    t = t * r + np.float32(1 / 6)
    t = t * r + np.float32(0.5)
    t = t * r + np.float32(1)
    t = t * r + np.float32(1)
    t *= np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return t


@numba.njit(inline="always")
def softplus(x):
    """Return log(1 + exp(x)) and its slope, the sigmoid, float32."""
    one, two = np.float32(1), np.float32(2)
    # 1. t = exp(-|x|)
    t = exp_below(-abs(x))
    # 2. log1p
    z = t / (two + t)
    square = z * z
    log = np.float32(2 / 13)
    log = log * square + np.float32(2 / 11)
    log = log * square + np.float32(2 / 9)
    log = log * square + np.float32(2 / 7)
    log = log * square + np.float32(2 / 5)
    log = log * square + np.float32(2 / 3)
    log = (log * square + two) * z
    inverse = one / (one + t)
    return np.float32(0.5) * (x + abs(x)) + log, (
        inverse if x >= np.float32(0) else t * inverse
    )  # not a number stays so


@numba.njit(inline="always")
def positive_term(terms, score):
    """Return what a positive costs at float32 ``score``, and the slope there."""
    one, zero = np.float32(1), np.float32(0)
    if len(terms.kind) == HINGES:
        if score >= one or terms.pos_weight == zero:
            return zero, zero
        return terms.pos_weight * (one - score), -terms.pos_weight
    if len(terms.kind) == SQUARES:
        off = score - one
        return np.float32(0.5) * terms.pos_weight * off * off, terms.pos_weight * off
    cost, slope = softplus(-score * terms.scale)
    return terms.pos_weight * cost, -terms.pos_weight * terms.scale * slope


@numba.njit(inline="always")
def hinge_term(terms, score):
    """Return what a negative costs by hinges at float32 ``score``, and the slope there."""
    cost, slope = np.float32(0), np.float32(0)
    for m in range(len(terms.margins)):
        if score > terms.margins[m]:
            cost += terms.slopes[m] * (score - terms.margins[m])
            slope += terms.slopes[m]
    return cost, slope


@numba.njit(inline="always")
def negative_terms(terms, scores, n, costs, slopes):
    """Fill ``costs`` and ``slopes`` with what negatives cost at the first ``n`` scores, float32, and the slopes."""
    zero = np.float32(0)
    if len(terms.kind) == HINGES:
        for k in range(n):
            costs[k], slopes[k] = zero, zero
        for m in range(len(terms.margins)):
            margin, slope = terms.margins[m], terms.slopes[m]
            for k in range(n):
                above = scores[k] - margin if scores[k] > margin else zero
                costs[k] += slope * above  # rounded once wherever in the list it stands
                slopes[k] += slope if above > zero else zero
    elif len(terms.kind) == SQUARES:
        for k in range(n):
            costs[k] = np.float32(0.5) * terms.neg_weight * scores[k] * scores[k]
            slopes[k] = terms.neg_weight * scores[k]
    else:
        for k in range(n):
            cost, slope = softplus(scores[k] * terms.scale)
            costs[k] = terms.neg_weight * cost
            slopes[k] = terms.neg_weight * terms.scale * slope


@numba.njit(inline="always")
def tile_terms(terms, scores, rows, costs, slopes):
    """Do the same for the first ``rows`` of a tile (8, 16)."""
    for r in range(rows):
        negative_terms(terms, scores[r], scores.shape[1], costs[r], slopes[r])
