"""What the strides of a step read and hand on, in named groups; tables and clock are lazy Adam's."""

from typing import Any, NamedTuple

import numpy as np

from multimargin.kernels.intrinsics import TILE_LANES, TILE_ROWS

LANES = 8  # a power of 2, fixed whatever the number of threads: it fixes the order of sums
BLOCKS = 64  # of items, LANES times as many: what a batch touches of one fits the second-level cache
NEIGHBOURS = 16  # items of a block that stand together: what is 4 bytes an item fills a cache line of one owner


class Settings(NamedTuple):
    """What does not change during a call."""

    cosine: bool
    dropout: np.float32
    clip_norm: float  # 0: no clipping
    dropout_key: np.uint64
    negatives_key: np.uint64
    seen_indptr: Any  # (U+1,), or (0,) to draw from all items
    seen_indices: Any


class Shape(NamedTuple):
    """The shape of a batch: ``rows`` times (a positive, ``others``, ``negatives``), and a pool that all rows share."""

    rows: int
    others: int
    negatives: int
    pool: int

    @property
    def pairs(self) -> int:
        """F, pairs of a row and an item of its own."""
        return self.rows * (1 + self.others + self.negatives)


class Scratch(NamedTuple):
    """What one stride leaves for the next.

    The F pairs of rows with items of their own stand in one line: positives (B,), others (B, K), negatives (B, N);
    after them the P items of the pool. Sorted by block they stand in another, and each block's items, S in all, have
    slots where its pairs begin. A lane is a share of the blocks. D' is D, padded to a multiple of 16 with zeros.
    """

    newest: Any  # (U,) while a batch is taken, the last row with this user; else -1
    users: Any  # (B,) user of each row
    leader: Any  # (B,) first row of the batch with the same user
    following: Any  # (B,) next row with the same user, -1 at the end
    dropout_place: Any  # (B,) of each row in the stream
    item: Any  # (F,)
    pool: Any  # (P,) items
    count: Any  # (threads, BLOCKS) a thread's pairs
    following_pair: Any  # (threads, BLOCKS) where its next one goes
    begin: Any  # (BLOCKS+1,) where a block's pairs begin, sorted
    pair: Any  # (F + P,) sorted: by block, then in the order of rows, then of the pool
    row: Any  # (F + P,) row of each, sorted
    slot: Any  # (F + P,) slot of its item, sorted; at first the item
    place: Any  # (I,) while slots are given, the slot of an item; else -1
    touched: Any  # (F + P,) item of a slot
    n_touched: Any  # (BLOCKS,) slots that are taken
    inverse: Any  # (F + P,) inverse norm of a slot's item
    active: Any  # (F + P,) whether one of its pairs has a gradient
    item_gradient: Any  # (S, D) if they are to be clipped, else of a lane's last block
    item_norm: Any  # (LANES,) squared norms
    lacking: Any  # (B,) drift that the user's row lacks
    user_inverse: Any  # (B,)
    keep: Any  # (B, D) dropout factors
    unit: Any  # (B, D) the user's vector, normalised for cosines
    query: Any  # (B, D') the same with dropout
    lane_gradient: Any  # (LANES, B, D') of the queries
    user_gradient: Any  # (B, D')
    user_norm: Any  # (B,)
    pool_unit: Any  # (P, D') normalised for cosines
    pool_panels: Any  # (P/16, D, 16) the same, 16 items side by side
    pool_gradient: Any  # (P, D')
    score: Any  # (F,) where the loss is computed here; else elsewhere
    slope: Any  # (F,) dL/ds, the same
    pool_score: Any  # (B, P) the same
    pool_slope: Any  # (B, P) the same
    cost: Any  # (threads, N) of the row at work
    loss: Any  # (B,)
    total: Any  # (1,) losses of all steps of a stretch
    scale: Any  # (1,) what gradients were multiplied by
    tiles: Any  # (threads, 8, 16)


def block_depth(shape: Shape, n_items: int) -> int:
    """Return how many items of one block a step can touch."""
    return min(-(-n_items // (BLOCKS * NEIGHBOURS)) * NEIGHBOURS, shape.pairs + shape.pool)


def new_scratch(shape: Shape, n_users: int, n_items: int, dim: int, threads: int, *, clips: bool) -> Scratch:
    """Return room for one step of at most ``shape``; most of it only takes memory where it is filled."""
    batch, pairs, pool = shape.rows, shape.pairs, shape.pool
    n_gradients = min(n_items, pairs + pool) if clips else LANES * block_depth(shape, n_items)
    width, panels = -(-dim // TILE_LANES) * TILE_LANES, -(-pool // TILE_LANES)
    return Scratch(
        newest=np.full(n_users, -1, np.int64),
        users=np.empty(batch, np.int64),
        leader=np.empty(batch, np.int64),
        following=np.empty(batch, np.int64),
        dropout_place=np.empty(batch, np.int64),
        item=np.empty(pairs, np.int32),
        pool=np.empty(pool, np.int32),
        count=np.zeros((threads, BLOCKS), np.int64),
        following_pair=np.zeros((threads, BLOCKS), np.int64),
        begin=np.zeros(BLOCKS + 1, np.int64),
        pair=np.empty(pairs + pool, np.int32),
        row=np.empty(pairs + pool, np.int32),
        slot=np.empty(pairs + pool, np.int32),
        place=np.full(n_items, -1, np.int32),
        touched=np.empty(pairs + pool, np.int32),
        n_touched=np.zeros(BLOCKS, np.int64),
        inverse=np.empty(pairs + pool, np.float32),
        active=np.empty(pairs + pool, np.bool_),
        item_gradient=np.empty((n_gradients, dim), np.float32),
        item_norm=np.empty(LANES, np.float64),
        lacking=np.empty(batch, np.float32),
        user_inverse=np.empty(batch, np.float32),
        keep=np.ones((batch, dim), np.float32),
        unit=np.empty((batch, dim), np.float32),
        query=np.zeros((batch, width), np.float32),
        lane_gradient=np.zeros((LANES, batch, width), np.float32),
        user_gradient=np.empty((batch, width), np.float32),
        user_norm=np.empty(batch, np.float64),
        pool_unit=np.zeros((pool, width), np.float32),
        pool_panels=np.zeros((panels, dim, TILE_LANES), np.float32),
        pool_gradient=np.empty((pool, width), np.float32),
        score=np.empty(pairs, np.float32),
        slope=np.empty(pairs, np.float32),
        pool_score=np.empty((batch, pool), np.float32),
        pool_slope=np.empty((batch, pool), np.float32),
        cost=np.empty((threads, max(shape.negatives, pool)), np.float32),
        loss=np.empty(batch, np.float64),
        total=np.zeros(1, np.float64),
        scale=np.ones(1, np.float32),
        tiles=np.empty((threads, TILE_ROWS, TILE_LANES), np.float32),
    )
