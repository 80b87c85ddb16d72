"""The compiled form: one scalar draw, which the whole-epoch kernel calls too, and a loop over rows."""

import numba
import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.draws import below, bits
from multimargin.kernels.team import TOGETHER, run_together, share, threads_for


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


@numba.njit(inline="always")
def draw_row(key, place, n_items, seen, out):
    """Fill ``out`` (N,) with the draws of the row at uint64 ``place``: items in [0, n_items) not in ``seen``."""
    first = place * np.uint64(len(out))
    total = np.uint64(n_items - len(seen))
    if len(seen) == 0:
        for column in range(len(out)):
            out[column] = below(bits(key, first + np.uint64(column)), total)
    else:
        for column in range(len(out)):
            out[column] = unseen_item(below(bits(key, first + np.uint64(column)), total), seen)


@numba.njit(**TOGETHER)
def _fill(thread, threads, cells, users, key, offset, n_items, indptr, indices, result):
    first, stop = share(thread, threads, len(users))
    for row in range(first, stop):
        seen = indices[:0]
        if len(indptr) > 1:
            seen = indices[indptr[users[row]] : indptr[users[row] + 1]]
        draw_row(key, offset + np.uint64(row), n_items, seen, result[row])


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
    threads = threads_for(10 * result.size)
    run_together(threads, _fill, users, np.uint64(key), np.uint64(offset), n_items, indptr, indices, result)
    return result
