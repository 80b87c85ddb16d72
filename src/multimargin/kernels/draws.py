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
def keep_scale(key, counter, dropped):
    """Return the inverted-dropout factor of one entry: 0 with probability ``dropped``, else 1 / (1 - dropped)."""
    uniform = np.float32(bits(key, counter) >> np.uint64(40)) * np.float32(2.0**-24)  # [0, 1), 24 bits
    return np.float32(0) if uniform < dropped else np.float32(1) / (np.float32(1) - dropped)


@numba.njit(cache=True)
def dropout_scale(key, offset, rows, dim, dropped):
    """Return (rows, dim) float32 dropout factors; row b's d-th is number ``(offset + b) * dim + d`` of ``key``."""
    result = np.empty((rows, dim), dtype=np.float32)
    for b in range(rows):
        start = (np.uint64(offset) + np.uint64(b)) * np.uint64(dim)
        for d in range(dim):
            result[b, d] = keep_scale(np.uint64(key), start + np.uint64(d), np.float32(dropped))
    return result
