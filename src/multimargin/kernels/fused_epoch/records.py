"""What the regions of a step read and hand on, in named groups."""

from typing import Any, NamedTuple

import numba
import numpy as np

LANES = 8  # fixed, whatever the number of threads: it fixes the order of sums


class Table(NamedTuple):
    """A table, its lazy Adam state and, for items, the inverse norm of every row (1 for dot products)."""

    vectors: Any  # (R, D)
    first: Any  # (R, D)
    second: Any  # (R, D)
    direction: Any  # (R, D)
    last: Any  # (R,) int32
    applied: Any  # (R,)
    inverse: Any  # (R,)


class Clock(NamedTuple):
    """The drift sums at the start of the call (updated in place) and the constants of each step in it."""

    base: int
    horizon: int
    power: Any  # (horizon+1,)
    drift: Any  # (horizon+1,)
    tail: Any
    rate: Any  # (steps,)
    eps_now: Any
    eps_idle: Any


class Settings(NamedTuple):
    """What does not change during a call."""

    n_negatives: int
    cosine: bool
    pos_slope: np.float32
    margins: Any  # (M,) float32
    slopes: Any  # (M,) float32
    dropout: np.float32
    clip_norm: float  # 0: no clipping
    weight_decay: np.float32
    beta1: float
    beta2: float
    negatives_key: np.uint64
    dropout_key: np.uint64
    seen_indptr: Any  # (U+1,), or (0,) to draw from all items
    seen_indices: Any


class Scratch(NamedTuple):
    """What one step leaves for the next region."""

    users: Any  # (B,) user of each row
    positives: Any  # (B,)
    leader: Any  # (B,) first row of the batch with the same user
    following: Any  # (B,) next row with the same user, -1 at the end
    negatives: Any  # (B, N)
    query: Any  # (B, D)
    user_gradient: Any  # (B, D)
    active: Any  # (B,) how many pairs of the row have a gradient; the pairs:
    pair_item: Any  # (B, 1+N)
    pair_slope: Any  # (B, 1+N) dL/ds
    pair_score: Any  # (B, 1+N)
    loss: Any  # (B,)
    norm: Any  # (B + LANES,) squared norms
    place: Any  # (I,) a touched item's place in its lane, else -1
    touched: Any  # (LANES, ceil(I / LANES)) items
    n_touched: Any  # (LANES,)
    item_gradient: Any  # (LANES, ceil(I / LANES), D)
    along: Any  # (LANES, ceil(I / LANES))


@numba.njit(cache=True)
def new_scratch(batch_size, n, n_items, dim):
    """Return room for one step; ``item_gradient`` only takes memory where rows are touched."""
    depth = (n_items + LANES - 1) // LANES
    return Scratch(
        users=np.empty(batch_size, np.int64),
        positives=np.empty(batch_size, np.int64),
        leader=np.empty(batch_size, np.int64),
        following=np.empty(batch_size, np.int64),
        negatives=np.empty((batch_size, n), np.int32),
        query=np.empty((batch_size, dim), np.float32),
        user_gradient=np.empty((batch_size, dim), np.float32),
        active=np.empty(batch_size, np.int64),
        pair_item=np.empty((batch_size, n + 1), np.int32),
        pair_slope=np.empty((batch_size, n + 1), np.float32),
        pair_score=np.empty((batch_size, n + 1), np.float32),
        loss=np.empty(batch_size, np.float64),
        norm=np.empty(batch_size + LANES, np.float64),
        place=np.full(n_items, -1, np.int32),
        touched=np.empty((LANES, depth), np.int32),
        n_touched=np.zeros(LANES, np.int64),
        item_gradient=np.empty((LANES, depth, dim), np.float32),
        along=np.empty((LANES, depth), np.float32),
    )
