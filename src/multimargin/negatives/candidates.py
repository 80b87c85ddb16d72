"""Pools of candidates with their scores, which hard samplers choose from."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.kernels.draws import bits_reference
from multimargin.negatives.base import Negatives, NegativeSampler, Scorer
from multimargin.negatives.uniform import UniformNegatives
from multimargin.rng import CounterRng


def candidate_law(law: NegativeSampler | None) -> NegativeSampler:
    """Return the law candidates are drawn from: uniform over what the user has not seen, if none is given."""
    if law is None:
        return UniformNegatives(exclude_seen=True)
    if law.needs or law.by_user or law.blends or law.remembers or not law.draws:
        checks.fail("law", "draw items without a look at the model", type(law).__name__)
    return law


def scored_candidates(
    law: NegativeSampler,
    users: NDArray[np.int64],
    positives: NDArray[np.int64],
    size: int,
    rng: CounterRng,
    scorer: Scorer | None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return (B, size) candidates and their scores; what the law masks has the score -inf."""
    drawn = law.sample(users, positives, size, rng=rng)
    scores = required(scorer)(users, drawn.index)
    if drawn.mask is not None:
        scores = np.where(drawn.mask, scores, np.float32(-np.inf))
    return np.broadcast_to(drawn.index, scores.shape), scores


def required(scorer: Scorer | None) -> Scorer:
    """Return the scorer if there is one."""
    if scorer is None:
        checks.fail("scorer", "be handed to a sampler that needs scores", None, "Call it with scorer=.")
    return scorer


def score_all(users: NDArray[np.int64], n_items: int, scorer: Scorer | None) -> NDArray[np.float64]:
    """Return (B, I) scores of the catalogue."""
    return required(scorer)(users, np.arange(n_items)).astype(np.float64)


def law_of_ranks(law: NDArray[np.float64], scores: NDArray[np.float64], size: int, ranks: range) -> NDArray[np.float64]:
    """Return (B, I): the law of a draw at one of ``ranks`` (0 the best) of ``size`` draws from ``law`` (B, I).

    An item is at rank r or before if r or fewer draws lie above it, and not so with its own counted in. No two items
    may have one score.
    """
    from scipy.stats import binom  # takes half a second to load

    order = np.argsort(-scores, axis=1, kind="stable")
    upto = np.take_along_axis(law, order, axis=1).cumsum(axis=1).clip(max=1.0)  # the mass above and the item's own
    above = np.concatenate([np.zeros((len(law), 1)), upto[:, :-1]], axis=1)
    at = [binom.cdf(rank, size, above) - binom.cdf(rank, size, upto) for rank in ranks]
    result = np.empty_like(law)
    np.put_along_axis(result, order, np.mean(at, axis=0), axis=1)
    return result


def uniforms(rows: int, n: int, rng: CounterRng) -> NDArray[np.float64]:
    """Return (rows, n) numbers in [0, 1), each by its place in the stream."""
    counters = np.uint64(rng.offset * n) + np.arange(rows * n, dtype=np.uint64)
    result: NDArray[np.float64] = (bits_reference(rng.key, counters) >> np.uint64(11)) * np.float64(2.0**-53)
    return result.reshape(rows, n)


def draw_by_weight(weights: NDArray[np.float64], n: int, rng: CounterRng) -> NDArray[np.int64]:
    """Return (B, n) columns of ``weights`` (B, C), none of whose rows is all 0, drawn in proportion, with replacement.

    Shares are rounded to parts in 2**40, so that a row's draws do not depend on where in a batch it stands.
    """
    upto = weights.cumsum(axis=1)  # (B, C)
    first = np.arange(len(weights))[:, None] << 40
    bounds = first + (upto / upto[:, -1:] * 2.0**40).astype(np.int64)
    level = first + (uniforms(len(weights), n, rng) * 2.0**40).astype(np.int64)  # (B, n)
    place = np.searchsorted(bounds.ravel(), level.ravel(), side="right").reshape(level.shape)  # one search for all rows
    result: NDArray[np.int64] = place - np.arange(len(weights))[:, None] * weights.shape[1]
    return result


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the softmax along the last axis; -inf has no share, and of a row of nothing else all have the same."""
    highest = logits.max(axis=-1, keepdims=True)
    weights = np.exp(logits - np.where(np.isfinite(highest), highest, 0.0), dtype=np.float64)
    weights = np.where(np.isfinite(highest), weights, 1.0)
    result: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
    return result


def pick(
    index: NDArray[np.int64],
    scores: NDArray[np.float32],
    weights: NDArray[np.float64],
    n: int,
    rng: CounterRng,
) -> Negatives:
    """Return ``n`` of each row's candidates, drawn by weight; masked where the candidate was (score -inf)."""
    columns = draw_by_weight(weights, checks.positive_int("n", n), rng.branch("pick"))
    chosen = np.isfinite(np.take_along_axis(scores, columns, axis=1))
    return Negatives(np.take_along_axis(index, columns, axis=1), mask=None if chosen.all() else chosen)
