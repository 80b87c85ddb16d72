"""Which pairs of a batch and its pool may score above the smallest margin: products of bytes, and a bound.

With u = u8 / 127 + r the item's unit vector and q = step q8 + rest the query, both rounded to bytes,

    q . u = step/127 q8 . u8 + (q - rest) . r + rest . u  <=  step/127 q8 . u8 + (|q| + |rest|) |r| + |rest|,

so a pair is ruled out whose product of bytes is below a limit of its row alone, with the largest |r| of the pool.
``kernels/screening.py`` multiplies and compares 64 items with some rows at a time. Where the processor cannot multiply
bytes, words are float32 and the bound is that of their rounding. What is let through is scored exactly, so that no
result depends on it.
"""

import numba
import numpy as np

from multimargin.kernels.intrinsics import largest
from multimargin.kernels.padded_rows import dot_rows, round_row
from multimargin.kernels.rows import dot, fetch_row
from multimargin.kernels.screening import CHUNK, GROUP, HAS_INT8, reach

_ABOVE = np.float32(1.0001)  # further off than the rounding of a bound
_SCALE = np.float32(127)
_ZERO_BYTE = 128  # bytes of items are unsigned: 128 stands for 0
_LARGEST = 2.0**31 - 1
_FINEST = np.float32(2.0**-22)  # of a sum's terms, more than its rounding


@numba.njit(inline="always")
def _pack_item_bytes(slot, x):
    """Round an item's unit vector to bytes; keep the norm of what is lost."""
    width, words, lane = x.item_unit.shape[1], x.item_words.shape[1], slot % CHUNK
    place = (slot - lane) * words + lane
    lost = round_row(x.item_unit, slot * width, width, _SCALE, x.item_words, place, CHUNK)  # type: ignore[call-arg]
    x.item_rest[slot] = np.sqrt(lost) * (_ABOVE / _SCALE)  # type: ignore[unreachable]


@numba.njit(inline="always")
def _pack_query_bytes(b, largest_rest, margin, x):
    """Round a query to bytes; set the least product with which an item can reach the margin."""
    row, width, words = x.query_bytes[b], x.query.shape[1], x.query_words.shape[1]
    top, square = largest(x.query[b], width), dot_rows(x.query, b * width, x.query, b * width, width)  # type: ignore[call-arg]
    x.limit[b] = np.int32(_LARGEST)  # type: ignore[unreachable]
    if top > np.float32(0):
        step, factor = top / _SCALE, _SCALE / top
        lost = round_row(x.query, b * width, width, factor, x.query_words, b * words, 1)  # type: ignore[call-arg]
        total = np.int32(0)  # type: ignore[unreachable]
        for d in range(width):
            total += np.int32(row[d])
        for d in range(width):
            row[d] ^= np.uint8(_ZERO_BYTE)  # the same as signed bytes
        rest = np.sqrt(lost) * step * _ABOVE
        slack = (np.sqrt(square) * _ABOVE + rest) * largest_rest + rest * _ABOVE
        least = np.float64(margin * (np.float32(2) - _ABOVE) - slack) * np.float64(_SCALE / step)
        least += np.float64(_ZERO_BYTE) * np.float64(total - _ZERO_BYTE * width) - 1.0
        if least < _LARGEST:
            x.limit[b] = np.int32(max(np.floor(least), -_LARGEST))


@numba.njit(inline="always")
def _pack_item_floats(slot, x):
    """Put an item's unit vector where it is multiplied."""
    unit, words, lane = x.item_unit[slot], x.item_words[slot // CHUNK], slot % CHUNK
    for d in range(len(unit)):
        words[d, lane] = unit[d]


@numba.njit(inline="always")
def _pack_query_floats(b, largest_rest, margin, x):
    """Copy a query; set the least product with which an item can reach the margin."""
    q, words = x.query[b], x.query_words[b]
    for d in range(len(q)):
        words[d] = q[d]
    slack = np.float32(len(q) + 4) * _FINEST * np.sqrt(dot(q, q)) * _ABOVE
    x.limit[b] = margin * (np.float32(2) - _ABOVE) - slack


pack_item = _pack_item_bytes if HAS_INT8 else _pack_item_floats
_pack_query = _pack_query_bytes if HAS_INT8 else _pack_query_floats


@numba.njit(inline="always")
def screen(own, first, last, n_pool, margin, items, x):
    """Set the bits of ``found`` for rows ``first`` to ``last``; ``first`` divides by GROUP.

    Meanwhile the moments of items in the thread's ``own`` slots come nearer, since most of them will be moved.
    """
    largest_rest, dim = np.float32(0), items.vectors.shape[1]
    for slot in range(n_pool):
        largest_rest = max(largest_rest, x.item_rest[slot])
    for b in range(first, last):
        _pack_query(b, largest_rest, margin, x)
    coming, end = own
    for chunk in range((n_pool + CHUNK - 1) // CHUNK):
        for row in range(first, last, GROUP):
            reach(x.query_words, row, x.item_words, chunk, x.limit, x.found, chunk)  # type: ignore[call-arg]
            if coming < end:  # type: ignore[unreachable]
                fetch_row(items.moments, 3 * x.item[coming] * dim, 2 * dim)
                coming += 1
