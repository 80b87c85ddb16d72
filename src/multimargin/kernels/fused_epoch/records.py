"""What the strides of a step read and hand on, in named groups; tables and clock are lazy Adam's."""

from typing import Any, NamedTuple

import numpy as np

LANES = 8  # fixed, whatever the number of threads: it fixes the order of sums


class Settings(NamedTuple):
    """What does not change during a call."""

    n_negatives: int
    cosine: bool
    pos_slope: np.float32
    margins: Any  # (M,) float32
    slopes: Any  # (M,) float32
    dropout: np.float32
    clip_norm: float  # 0: no clipping
    negatives_key: np.uint64
    dropout_key: np.uint64
    seen_indptr: Any  # (U+1,), or (0,) to draw from all items
    seen_indices: Any


class Scratch(NamedTuple):
    """What one stride leaves for the next."""

    newest: Any  # (U,) while a batch is taken, the last row with this user; else -1
    users: Any  # (B,) user of each row
    positives: Any  # (B,)
    leader: Any  # (B,) first row of the batch with the same user
    following: Any  # (B,) next row with the same user, -1 at the end
    negatives: Any  # (B, N)
    limit: Any  # (I, 2) what ``scoring.limit`` returned for each item
    keep: Any  # (B, D) dropout factors
    unit: Any  # (B, D) the user's vector, normalised for cosines
    query: Any  # (B, D) the same with dropout
    user_gradient: Any  # (B, D)
    active: Any  # (B,) how many pairs of the row have a gradient; of each pair:
    pair_item: Any  # (B, 1+N)
    score: Any  # (B, 1+N)
    inverse: Any  # (B, 1+N) inverse norm of the item
    missing: Any  # (B, 1+N) drift that the item's row lacks
    slope: Any  # (B, 1+N) dL/ds
    loss: Any  # (B,)
    norm: Any  # (B + LANES,) squared norms
    place: Any  # (I,) a touched item's place in its lane, else -1
    touched: Any  # (LANES, ceil(I / LANES)) items
    n_touched: Any  # (LANES,)
    item_gradient: Any  # (LANES, ceil(I / LANES), D)
    along: Any  # (LANES, ceil(I / LANES))


def new_scratch(batch_size: int, n: int, n_users: int, n_items: int, dim: int) -> Scratch:
    """Return room for one step; ``item_gradient`` only takes memory where rows are touched."""
    depth = (n_items + LANES - 1) // LANES
    pairs = (batch_size, n + 1)
    return Scratch(
        newest=np.full(n_users, -1, np.int64),
        users=np.empty(batch_size, np.int64),
        positives=np.empty(batch_size, np.int64),
        leader=np.empty(batch_size, np.int64),
        following=np.empty(batch_size, np.int64),
        negatives=np.empty((batch_size, n), np.int32),
        limit=np.empty((n_items, 2), np.float32),
        keep=np.ones((batch_size, dim), np.float32),
        unit=np.empty((batch_size, dim), np.float32),
        query=np.empty((batch_size, dim), np.float32),
        user_gradient=np.empty((batch_size, dim), np.float32),
        active=np.empty(batch_size, np.int64),
        pair_item=np.empty(pairs, np.int32),
        score=np.empty(pairs, np.float32),
        inverse=np.empty(pairs, np.float32),
        missing=np.empty(pairs, np.float32),
        slope=np.empty(pairs, np.float32),
        loss=np.empty(batch_size, np.float64),
        norm=np.empty(batch_size + LANES, np.float64),
        place=np.full(n_items, -1, np.int32),
        touched=np.empty((LANES, depth), np.int64),
        n_touched=np.zeros(LANES, np.int64),
        item_gradient=np.empty((LANES, depth, dim), np.float32),
        along=np.empty((LANES, depth), np.float32),
    )
