"""What the strides of a step read and hand on, in named groups; tables and clock are lazy Adam's."""

from typing import Any, NamedTuple

import numpy as np

from multimargin.kernels.intrinsics import BYTES
from multimargin.kernels.room import apart, lazily
from multimargin.kernels.terms import Terms

_ZERO_BYTE = 128
AHEAD = 32  # draws whose bytes are asked for before they are multiplied
BLOCK = 16  # products that are looked at together
DAYS = 64  # steps for which rows can be listed ahead
LANES = 8  # a power of 2, fixed whatever the number of threads: it fixes the order of sums
NEIGHBOURS = 16  # items of a lane that stand together: what is 4 bytes an item fills a cache line of one owner


class Settings(NamedTuple):
    """What does not change during a call; ``kernels/launch.py`` explains the first five."""

    cosine: bool
    terms: Terms
    dropout: np.float32
    dropout_key: np.uint64
    clip_norm: float
    n_negatives: int
    screened: tuple[int, ...]  # by its length: whether most draws can be ruled out: hinges, cosines, margins above 0
    still: np.float32  # how far rows may be away from their copies, see ``screening``
    drift_ahead: np.float32  # bound on an idle row's drift from now on
    negatives_key: np.uint64
    seen_indptr: Any  # (U+1,), or (0,) to draw from all items
    seen_indices: Any


class Scratch(NamedTuple):
    """What one stride leaves for the next; a "list" is filled from its start by one thread, in the order of rows."""

    anew: Any  # (1,) 1 if the copies of the items do not hold
    newest: Any  # (U,) while a batch is chained, the last row with this user; else -1
    leader: Any  # (B,) first row of the batch with the same user
    following: Any  # (B,) next row with the same user, -1 at the end
    drift: Any  # (threads, horizon+1 or more) lazy Adam's drift sums, each thread's own
    negatives: Any  # (threads, 2, padded N + AHEAD or more) drawn for the row at work and for the next one; then zeros
    bytes: Any  # (I, 64 m) copies of the items, see ``screening``
    about: Any  # (I, 4) of each copy: middle, |direction| / |row| there, norm of its rounding, -
    first_listed: Any  # (DAYS * LANES,) first item of each list, -1: empty
    listed: Any  # (I, 4) of each item: which list it is on, its neighbours before and after there (-1: none), -
    query_bytes: Any  # (B, 64 m or more)
    least: Any  # (B,) the least product of bytes with which an item can reach the smallest margin
    bound: Any  # (B, 4) what that bound is made of
    products: Any  # (threads, padded N or more) of bytes, of the row at work
    candidates: Any  # (threads, rows N + AHEAD) list of the drawn items to be scored
    candidate_products: Any  # the same: their products of bytes
    candidates_end: Any  # (B,) where a row's end
    keep: Any  # (B, D) dropout factors
    unit: Any  # (B, D) the user's vector, normalised for cosines
    query: Any  # (B, D) the same with dropout
    user_inverse: Any  # (B,) inverse norm of the user's vector
    lacking: Any  # (B,) drift that the user's row lacks
    user_gradient: Any  # (B, D)
    pair_item: Any  # (threads, 1+N or more) of the row at work, the pairs that have a gradient; of each:
    score: Any  # (threads, 1+N or more)
    inverse: Any  # (threads, 1+N or more) inverse norm of the item
    missing: Any  # (threads, 1+N or more) drift that the item's row lacks
    cost: Any  # (threads, 1+N or more)
    slope: Any  # (threads, 1+N or more) dL/ds times B N, of negatives
    active_item: Any  # (threads, LANES, rows (1+N)) lists of the pairs that have a gradient; of each:
    active_row: Any  # the same: its row of the batch
    active_factor: Any  # the same: dL/ds times the inverse norm of the item
    active_along: Any  # the same: that times the score and the inverse norm
    n_active: Any  # (threads, LANES or more)
    loss: Any  # (B,)
    lane_loss: Any  # (LANES,) summed over all steps of a stretch
    total: Any  # (1,) the sum of the same
    norm: Any  # (2, LANES) squared norms of gradients, of items and of users
    place: Any  # (I,) a touched item's place in its lane, else -1
    touched: Any  # (LANES, about I / LANES) items
    n_touched: Any  # (LANES,)
    item_gradient: Any  # (LANES, about I / LANES, D)
    along: Any  # (LANES, about I / LANES)


def new_scratch(batch_size: int, n: int, n_users: int, n_items: int, dim: int, threads: int, horizon: int) -> Scratch:
    """Return room for one step; lists and ``item_gradient`` only take memory where they are filled."""
    depth = -(-n_items // (LANES * NEIGHBOURS)) * NEIGHBOURS
    rows = -(-batch_size // threads)
    lists = (threads, LANES, rows * (n + 1))
    padded = -(-n // BLOCK) * BLOCK
    width = -(-dim // BYTES) * BYTES
    return Scratch(
        anew=np.zeros(1, np.int64),
        newest=np.full(n_users, -1, np.int64),
        leader=np.empty(batch_size, np.int64),
        following=np.empty(batch_size, np.int64),
        drift=apart((threads, horizon + 1), np.float64),
        negatives=apart((threads, 2, padded + AHEAD), np.int32),
        bytes=apart((n_items, width), np.uint8, _ZERO_BYTE, BYTES),
        about=np.zeros((n_items, 4), np.float32),
        first_listed=np.full(DAYS * LANES, -1, np.int32),
        listed=np.full((n_items, 4), -1, np.int32),
        query_bytes=apart((batch_size, width), np.int8, 0, BYTES),
        least=np.empty(batch_size, np.int32),
        bound=np.empty((batch_size, 4), np.float32),
        products=apart((threads, padded), np.int32),
        candidates=lazily((threads, rows * n + AHEAD), np.int32),
        candidate_products=lazily((threads, rows * n + AHEAD), np.int32),
        candidates_end=np.empty(batch_size, np.int64),
        keep=np.ones((batch_size, dim), np.float32),
        unit=np.empty((batch_size, dim), np.float32),
        query=np.empty((batch_size, dim), np.float32),
        user_inverse=np.ones(batch_size, np.float32),
        lacking=np.empty(batch_size, np.float32),
        user_gradient=np.empty((batch_size, dim), np.float32),
        pair_item=apart((threads, n + 1), np.int32),
        score=apart((threads, n + 1), np.float32),
        inverse=apart((threads, n + 1), np.float32),
        missing=apart((threads, n + 1), np.float32),
        cost=apart((threads, n + 1), np.float32),
        slope=apart((threads, n + 1), np.float32),
        active_item=lazily(lists, np.int32),
        active_row=lazily(lists, np.int32),
        active_factor=lazily(lists, np.float32),
        active_along=lazily(lists, np.float32),
        n_active=apart((threads, LANES), np.int64),
        loss=np.empty(batch_size, np.float64),
        lane_loss=np.zeros(LANES, np.float64),
        total=np.zeros(1, np.float64),
        norm=np.zeros((2, LANES), np.float64),
        place=np.full(n_items, -1, np.int32),
        touched=np.empty((LANES, depth), np.int64),
        n_touched=np.zeros(LANES, np.int64),
        item_gradient=lazily((LANES, depth, dim), np.float32),
        along=np.empty((LANES, depth), np.float32),
    )
