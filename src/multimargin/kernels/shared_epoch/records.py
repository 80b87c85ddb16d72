"""What the strides of a step read and hand on, in named groups; tables and clock are lazy Adam's."""

from typing import Any, NamedTuple

import numpy as np

from multimargin.kernels.intrinsics import TILE_LANES, TILE_ROWS
from multimargin.kernels.room import apart, lazily
from multimargin.kernels.screening import CHUNK, GROUP, HAS_INT8
from multimargin.kernels.terms import Terms

PAIRS_AHEAD = 16  # listed pairs whose items are asked for before they are scored


class Settings(NamedTuple):
    """What does not change during a call; ``kernels/launch.py`` explains the first five."""

    cosine: bool
    terms: Terms
    dropout: np.float32
    dropout_key: np.uint64
    clip_norm: float
    n_negatives: int
    screened: tuple[int, ...]  # by its length: whether most pairs can be ruled out; else products of matrices
    negatives_key: np.uint64
    exclude_seen: bool
    indptr: Any  # (U+1,) each user's interactions
    indices: Any


class Scratch(NamedTuple):
    """What one stride leaves for the next.

    The different items of a step have slots: 0 to M for those of the pool, then the positives that are not in it, S in
    all. D' is D, padded to a multiple of 16 with zeros; C are chunks of 64 slots.
    """

    newest: Any  # (U,) while a batch is taken, the last row with this user; else -1
    leader: Any  # (B,) first row of the batch with the same user
    following: Any  # (B,) next row with the same user, -1 at the end
    drawn: Any  # (2, N) the pool of the step and of the next one
    place: Any  # (I,) the slot of an item, else -1
    counts: Any  # (2,) M and S
    item: Any  # (S,)
    times: Any  # (S,) how often it was drawn
    pos_slot: Any  # (B,)
    item_inverse: Any  # (S,) inverse norm
    item_unit: Any  # (S, D') its vector, normalised for cosines
    item_gradient: Any  # (S, D')
    item_panels: Any  # (S/16, D, 16) units again, 16 items side by side, if pairs are not screened
    item_words: Any  # (C, W, 64) units again, see ``screening``; a word is 4 bytes, W is D'/4, or D' of float32
    item_rest: Any  # (S,)
    touched: Any  # (S,) 1 if a pair of the item has a gradient
    lacking: Any  # (B,) drift that the user's row lacks
    user_inverse: Any  # (B,)
    keep: Any  # (B, D) dropout factors
    unit: Any  # (B, D) the user's vector, normalised for cosines
    query: Any  # (B, D') the same with dropout
    query_words: Any  # (B, W)
    query_bytes: Any  # (B, 4 W) the same memory
    limit: Any  # (B,) of products of words
    user_gradient: Any  # (B, D')
    seen: Any  # (B, C) bits: items of the pool that the user has
    found: Any  # (B, C) bits: pairs that may have a gradient
    words: Any  # (threads, C+1 or more) those of the row at work that have one; of each:
    starts: Any  # (threads, C+1 or more) its first slot
    per_draw: Any  # (B,) the weight of a draw in its row's mean
    slope: Any  # (B, N') dL/ds of all pairs, or, if pairs are screened, the same memory as:
    slopes: Any  # (B N',) dL/ds of the listed pairs; each thread's list starts where its first row would
    active: Any  # (B N' and some,) slots of the listed pairs, increasing within a row
    row: Any  # (B N',) their rows
    score: Any  # (B N',)
    cost: Any  # (B N',)
    first_active: Any  # (B,) where a row's pairs that have a gradient begin
    n_active: Any  # (B,) how many they are
    pos_score: Any  # (B,)
    pos_slope: Any  # (B,) dL/ds
    loss: Any  # (B,)
    user_norm: Any  # (B,) squared norms of gradients
    item_norm: Any  # (S,)
    total: Any  # (1,) losses of all steps of a stretch
    tiles: Any  # (threads, 4, 8, 16) of a product, its costs and slopes; room


def new_scratch(
    batch_size: int, n: int, n_users: int, n_items: int, dim: int, threads: int, *, screened: bool
) -> Scratch:
    """Return room for one step."""
    slots, chunks, group = min(n + batch_size, n_items), -(-n // CHUNK), -(-batch_size // GROUP) * GROUP
    width, padded = -(-dim // TILE_LANES) * TILE_LANES, -(-n // TILE_LANES) * TILE_LANES
    word = np.int32 if HAS_INT8 else np.float32
    words = width // 4 if HAS_INT8 else width
    query_words = np.zeros((group, words), word)
    listed, slope = batch_size * padded if screened else 0, lazily((batch_size, padded), np.float32)
    return Scratch(
        newest=np.full(n_users, -1, np.int64),
        leader=np.empty(batch_size, np.int64),
        following=np.empty(batch_size, np.int64),
        drawn=np.empty((2, n), np.int64),
        place=np.full(n_items, -1, np.int32),
        counts=np.zeros(2, np.int64),
        item=np.empty(slots, np.int64),
        times=np.zeros(slots + TILE_LANES, np.float32),
        pos_slot=np.empty(batch_size, np.int64),
        item_inverse=np.empty(slots, np.float32),
        item_unit=np.zeros((slots, width), np.float32),
        item_gradient=np.zeros((slots, width), np.float32),
        item_panels=np.zeros((0 if screened else padded // TILE_LANES, dim, TILE_LANES), np.float32),
        item_words=np.zeros((chunks if screened else 0, words, CHUNK), word),
        item_rest=np.zeros(slots, np.float32),
        touched=np.zeros(slots + TILE_LANES, np.int8),
        lacking=np.empty(batch_size, np.float32),
        user_inverse=np.empty(batch_size, np.float32),
        keep=np.ones((batch_size, dim), np.float32),
        unit=np.empty((batch_size, dim), np.float32),
        query=np.zeros((batch_size, width), np.float32),
        query_words=query_words,
        query_bytes=query_words.view(np.uint8),
        limit=np.full(group, np.iinfo(np.int32).max if HAS_INT8 else np.inf, word),
        user_gradient=np.empty((batch_size, width), np.float32),
        seen=np.zeros((batch_size, chunks), np.uint64),
        found=np.zeros((group, chunks), np.uint64),
        words=apart((threads, chunks + 1), np.uint64),
        starts=apart((threads, chunks + 1), np.int64),
        per_draw=np.empty(batch_size, np.float32),
        slope=slope,
        slopes=slope.reshape(-1),
        active=lazily((listed + PAIRS_AHEAD,), np.int32),
        row=lazily((listed + 1,), np.int32),
        score=lazily((listed + 1,), np.float32),
        cost=lazily((listed + 1,), np.float32),
        first_active=np.zeros(batch_size, np.int64),
        n_active=np.zeros(batch_size, np.int64),
        pos_score=np.empty(batch_size, np.float32),
        pos_slope=np.empty(batch_size, np.float32),
        loss=np.empty(batch_size, np.float64),
        user_norm=np.empty(batch_size, np.float64),
        item_norm=np.empty(slots, np.float64),
        total=np.zeros(1, np.float64),
        tiles=np.zeros((threads, 4, TILE_ROWS, TILE_LANES), np.float32),
    )
