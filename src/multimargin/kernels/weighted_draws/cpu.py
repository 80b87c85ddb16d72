"""The compiled form: one draw at a time, rows shared out among threads."""

from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.draws import bits
from multimargin.kernels.team import TOGETHER, run_together, share, threads_for

if TYPE_CHECKING:
    from multimargin.kernels.weighted_draws import WeightedItems

_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


@numba.njit(inline="always")
def high_word(a, b):
    """Return the upper 64 bits of the product of two uint64."""
    a_high, a_low, b_high, b_low = a >> _HALF, a & _LOW, b >> _HALF, b & _LOW
    middle = a_high * b_low + ((a_low * b_low) >> _HALF)
    return a_high * b_high + (middle >> _HALF) + ((a_low * b_high + (middle & _LOW)) >> _HALF)


@numba.njit(**TOGETHER)
def _fill(thread, threads, cells, users, key, offset, bounds, guide, shift, indptr, indices, before, left, result):
    first, stop = share(thread, threads, len(users))
    n = result.shape[1]
    for row in range(first, stop):
        start = end = 0
        total = left[0]
        if len(indptr) > 1:
            start, end = indptr[users[row]], indptr[users[row] + 1]
            total = left[users[row]]
        place = (offset + np.uint64(row)) * np.uint64(n)
        for column in range(n):
            rank = np.int64(high_word(bits(key, place + np.uint64(column)), np.uint64(total)))
            # 1. the seen items that come first
            low, high = start, end
            while low < high:
                middle = (low + high) >> 1
                if before[middle] <= rank:
                    low = middle + 1
                else:
                    high = middle
            if low > start:
                rank += bounds[indices[low - 1] + 1] - before[low - 1]  # their weight is skipped
            # 2. the item that holds this weight
            item = guide[rank >> shift]
            while bounds[item + 1] <= rank:
                item += 1
            result[row, column] = item


def weighted_draws(
    users: NDArray[np.int64], n: int, key: int, offset: int, items: "WeightedItems"
) -> NDArray[np.int64]:
    """Return (B, N) item indices; arguments as in the launcher."""
    result = np.empty((len(users), n), dtype=np.int64)
    run_together(
        threads_for(20 * result.size), _fill, users, np.uint64(key), np.uint64(offset), items.bounds, items.guide,
        items.shift, items.indptr, items.indices, items.before, items.left, result,
    )  # fmt: skip
    return result
