"""Counter-based random bits, in NumPy (the definition) and compiled.

``bits(key, counter)`` is SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) at position ``counter`` of the stream
``key``: a draw depends on its place, not on who draws it. The same interaction gets the same negatives whatever the
number of threads, the batch size, or where a run was interrupted.
"""

import numba
import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def bits_reference(key: int, counters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64 random bits per counter; wraps around at 2**64 as the compiled form does."""
    with np.errstate(over="ignore"):
        z = np.uint64(key) + (counters + np.uint64(1)) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        return z ^ (z >> np.uint64(31))


def below_reference(random_bits: NDArray[np.uint64], n: NDArray[np.uint64] | np.uint64) -> NDArray[np.int64]:
    """Return integers in [0, n), n < 2**32: high word of ``random_bits * n`` (Lemire 2019; bias <= n / 2**64)."""
    high = (random_bits >> np.uint64(32)) * n
    low = ((random_bits & np.uint64(0xFFFFFFFF)) * n) >> np.uint64(32)
    return ((high + low) >> np.uint64(32)).astype(np.int64)


@numba.njit(inline="always", cache=True)
def bits(key, counter):
    """Return what ``bits_reference`` returns, for one uint64 ``counter``."""
    z = key + (counter + np.uint64(1)) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


@numba.njit(inline="always", cache=True)
def below(random_bits, n):
    """Return what ``below_reference`` returns, for one draw and a uint64 ``n``."""
    high = (random_bits >> np.uint64(32)) * n
    low = ((random_bits & np.uint64(0xFFFFFFFF)) * n) >> np.uint64(32)
    return np.int64((high + low) >> np.uint64(32))


@numba.njit(inline="always", cache=True)
def keep_scales(key, place, dropped, result):
    """Fill ``result`` (D,) with the inverted-dropout factors of a row: 0 with probability ``dropped``, else 1/(1 - it).

    Two entries share 64 random bits: entries 2k and 2k + 1 of row ``place`` are the halves of number
    ``place * ceil(D / 2) + k``, the low one first.
    """
    dim = len(result)
    first = np.uint64(place) * np.uint64((dim + 1) // 2)
    kept = np.float32(1) / (np.float32(1) - dropped)
    bound = np.uint64(np.ceil(np.float64(dropped) * 2.0**32))
    for k in range(dim // 2):
        both = bits(key, first + np.uint64(k))
        result[2 * k] = np.float32(0) if (both & np.uint64(0xFFFFFFFF)) < bound else kept
        result[2 * k + 1] = np.float32(0) if (both >> np.uint64(32)) < bound else kept
    if dim % 2:
        both = bits(key, first + np.uint64(dim // 2))
        result[dim - 1] = np.float32(0) if (both & np.uint64(0xFFFFFFFF)) < bound else kept


@numba.njit(cache=True)
def dropout_scale(key, offset, rows, dim, dropped):
    """Return (rows, dim) float32 dropout factors of the rows from place ``offset`` of stream ``key`` on."""
    result = np.empty((rows, dim), dtype=np.float32)
    for b in range(rows):
        keep_scales(np.uint64(key), np.uint64(offset) + np.uint64(b), np.float32(dropped), result[b])
    return result
