"""What the strides of a step read and hand on, in named groups; tables and clock are lazy Adam's."""

from typing import Any, NamedTuple

import numpy as np

from multimargin.kernels.intrinsics import BYTES

_ZERO_BYTE = 128
AHEAD = 16  # draws whose bytes are asked for before they are multiplied
BLOCK = 16  # products that are looked at together
DAYS = 64  # steps for which rows can be listed ahead
LANES = 8  # a power of 2, fixed whatever the number of threads: it fixes the order of sums


class Settings(NamedTuple):
    """What does not change during a call."""

    n_negatives: int
    cosine: bool
    screened: bool  # whether most drawn items can be ruled out: cosines and margins above 0
    still: np.float32  # how far rows may be away from their copies, see ``screening``
    drift_ahead: np.float32  # bound on an idle row's drift from now on
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
    negatives: Any  # (threads, 2, padded N + AHEAD) drawn for the row at work and for the next one; then zeros
    bytes: Any  # (I, 64 m) copies of the items, see ``screening``
    about: Any  # (I, 4) of each copy: middle, |direction| / |row| there, norm of its rounding, -
    first_listed: Any  # (DAYS * LANES,) first item of each list, -1: empty
    listed_on: Any  # (I,) which list an item is on, -1: none
    listed_before: Any  # (I,) its neighbours there, -1: none
    listed_after: Any  # (I,)
    query_bytes: Any  # (threads, 64 m)
    products: Any  # (threads, padded N) of bytes, of the row at work
    lacking: Any  # (B,) drift that the user's row lacks
    keep: Any  # (threads, D) dropout factors of the row at work
    unit: Any  # (threads, D) its user's vector, normalised for cosines
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


def new_scratch(batch_size: int, n: int, n_users: int, n_items: int, dim: int, threads: int) -> Scratch:
    """Return room for one step; ``item_gradient`` only takes memory where rows are touched."""
    depth = -(-n_items // LANES)
    pairs = (batch_size, n + 1)
    padded = -(-n // BLOCK) * BLOCK
    width = -(-dim // BYTES) * BYTES
    flat = np.full(n_items * width + BYTES, _ZERO_BYTE, np.uint8)
    start = -flat.ctypes.data % BYTES  # an item's bytes fill whole cache lines
    return Scratch(
        newest=np.full(n_users, -1, np.int64),
        users=np.empty(batch_size, np.int64),
        positives=np.empty(batch_size, np.int64),
        leader=np.empty(batch_size, np.int64),
        following=np.empty(batch_size, np.int64),
        negatives=np.zeros((threads, 2, padded + AHEAD), np.int32),
        bytes=flat[start : start + n_items * width].reshape(n_items, width),
        about=np.zeros((n_items, 4), np.float32),
        first_listed=np.full(DAYS * LANES, -1, np.int32),
        listed_on=np.full(n_items, -1, np.int32),
        listed_before=np.full(n_items, -1, np.int32),
        listed_after=np.full(n_items, -1, np.int32),
        query_bytes=np.zeros((threads, width), np.int8),
        products=np.empty((threads, padded), np.int32),
        lacking=np.empty(batch_size, np.float32),
        keep=np.ones((threads, dim), np.float32),
        unit=np.empty((threads, dim), np.float32),
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
