"""What the strides of a step read and hand on, in named groups; tables and clock are lazy Adam's."""

from typing import Any, NamedTuple

import numpy as np

from multimargin.kernels.intrinsics import TILE_LANES, TILE_ROWS
from multimargin.kernels.terms import Terms

BLOCK = 64  # items whose pairs are summed together, if every pair has a gradient; a multiple of TILE_ROWS
LANES = 8  # parts of the catalogue, whatever the number of threads: they fix the order of sums


class Settings(NamedTuple):
    """What does not change during a call; ``kernels/launch.py`` explains the first five."""

    cosine: bool
    terms: Terms
    dropout: np.float32
    dropout_key: np.uint64
    clip_norm: float
    exclude_seen: bool
    indptr: Any  # (U+1,) each user's interactions
    indices: Any


class Scratch(NamedTuple):
    """What one stride leaves for the next, for G users, B interactions and P = G/16 panels at most.

    G' is 16 P, and D' is D, padded to a multiple of 16 with zeros.
    """

    first: Any  # (G+1,) where each user's interactions begin in the batch
    per_pair: Any  # (G',) what the mean over interactions and negatives makes of a negative's slope
    keep: Any  # (G, D) dropout factors
    unit: Any  # (G, D) the user's vector, normalised for cosines
    inverse: Any  # (G,) its inverse norm
    query: Any  # (G', D') with dropout
    panels: Any  # (P, D, 16) the same again, 16 users side by side; zeros where there is none
    tiles: Any  # (LANES, 3, 8, 16) scores of a lane's 8 items with 16 users, their costs and slopes
    push: Any  # (LANES, G') a lane's part of the costs of negatives
    part: Any  # (LANES, G, D') a lane's part of the gradients of queries
    block: Any  # (LANES, BLOCK, D') unit vectors of a lane's items at work, if every pair has a gradient; of those:
    slope: Any  # (LANES, BLOCK, G') whether a pair counts, then dL/ds
    sums: Any  # (LANES, BLOCK, D') gradients of the unit vectors
    next_seen: Any  # (LANES, G) in ``indices``, the user's first item from the block at work on
    user_gradient: Any  # (G, D)
    pos_score: Any  # (B,)
    pos_slope: Any  # (B,) dL/ds, 0 where the hinge is not exceeded
    loss: Any  # (G,)
    total: Any  # (1,) losses of all steps of a stretch
    norm: Any  # (G + LANES,) squared norms
    item_inverse: Any  # (I,)
    place: Any  # (I,) a touched item's place in its lane, else -1
    touched: Any  # (LANES, ceil(I / LANES)) items
    n_touched: Any  # (LANES,)
    item_gradient: Any  # (LANES, ceil(I / LANES), D)
    along: Any  # (LANES, ceil(I / LANES))


def new_scratch(n_users: int, n_pairs: int, n_items: int, dim: int, *, dense: bool) -> Scratch:
    """Return room for one step; ``item_gradient`` only takes memory where rows are touched.

    ``dense`` says that every pair has a gradient.
    """
    depth, lanes = -(-n_items // LANES), LANES if dense else 0
    panels, width = -(-n_users // TILE_LANES), -(-dim // TILE_LANES) * TILE_LANES
    return Scratch(
        first=np.empty(n_users + 1, np.int64),
        per_pair=np.zeros(panels * TILE_LANES, np.float32),
        keep=np.ones((n_users, dim), np.float32),
        unit=np.empty((n_users, dim), np.float32),
        inverse=np.empty(n_users, np.float32),
        query=np.zeros((panels * TILE_LANES, width), np.float32),
        panels=np.zeros((panels, dim, TILE_LANES), np.float32),
        tiles=np.empty((LANES, 3, TILE_ROWS, TILE_LANES), np.float32),
        push=np.empty((LANES, panels * TILE_LANES), np.float64),
        part=np.empty((LANES, n_users, width), np.float32),
        block=np.zeros((lanes, BLOCK, width), np.float32),
        slope=np.empty((lanes, BLOCK, panels * TILE_LANES), np.float32),
        sums=np.empty((lanes, BLOCK, width), np.float32),
        next_seen=np.empty((lanes, n_users), np.int64),
        user_gradient=np.empty((n_users, dim), np.float32),
        pos_score=np.empty(n_pairs, np.float32),
        pos_slope=np.empty(n_pairs, np.float32),
        loss=np.empty(n_users, np.float64),
        total=np.zeros(1, np.float64),
        norm=np.empty(n_users + LANES, np.float64),
        item_inverse=np.empty(n_items, np.float32),
        place=np.full(n_items, -1, np.int32),
        touched=np.empty((LANES, depth), np.int64),
        n_touched=np.zeros(LANES, np.int64),
        item_gradient=np.empty((LANES, depth, dim), np.float32),
        along=np.empty((LANES, depth), np.float32),
    )
