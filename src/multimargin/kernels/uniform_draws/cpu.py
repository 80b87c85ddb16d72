"""The compiled form: one scalar draw, which the whole-epoch kernel calls too, and a loop over rows."""

import numba
import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.draws import below, bits


@numba.njit(cache=True, inline="always")
def unseen_item(rank, seen):
    """Return the item of int64 ``rank`` (from 0) among those not in ``seen``, a 1-d array of increasing items."""
    low, high = 0, len(seen)  # the answer j = #{j : seen[j] - j <= rank} is in [low, high]
    while low < high:
        middle = (low + high) >> 1
        if seen[middle] - middle <= rank:
            low = middle + 1
        else:
            high = middle
    return rank + low


@numba.njit(cache=True, inline="always")
def uniform_negative(key, counter, n_items, seen):
    """Return draw number ``counter`` of stream ``key`` (both uint64): an int64 item in [0, n_items) not in ``seen``.

    ``seen`` is a 1-d array of increasing items, shorter than ``n_items``; empty to draw from all items.
    """
    rank = below(bits(key, counter), np.uint64(n_items - len(seen)))
    return unseen_item(rank, seen)


@numba.njit(cache=True)
def uniform_row(key, place, n_items, seen, out):
    """Fill ``out`` (N,) with the draws of the row at uint64 ``place``."""
    counter = place * np.uint64(len(out))
    for column in range(len(out)):
        out[column] = uniform_negative(key, counter + np.uint64(column), n_items, seen)


@numba.njit(cache=True, parallel=True)
def _fill(users, key, offset, n_items, indptr, indices, result):
    for row in numba.prange(len(users)):
        first, last = (indptr[users[row]], indptr[users[row] + 1]) if len(indptr) > 1 else (0, 0)
        uniform_row(key, offset + np.uint64(row), n_items, indices[first:last], result[row])


def uniform_draws(
    users: NDArray[np.int64],
    n: int,
    key: int,
    offset: int,
    n_items: int,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Return (B, N) item indices; arguments as in the launcher."""
    result = np.empty((len(users), n), dtype=np.int64)
    _fill(users, np.uint64(key), np.uint64(offset), n_items, indptr, indices, result)
    return result
