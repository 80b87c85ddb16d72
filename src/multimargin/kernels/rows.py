"""Arithmetic on single rows: passed as slices, so that the compiler knows they are contiguous and vectorises them."""

import numba
import numpy as np

from multimargin.kernels.intrinsics import fetch

# sums may be reordered and contracted, but no reciprocal approximations and no assumptions about infinities
FAST = {"reassoc", "contract", "nsz"}
TINY = np.float32(1e-12)  # the smallest norm torch.nn.functional.normalize divides by
_LINE = 16  # float32 of a cache line


@numba.njit(inline="always")
def dot(a, b):
    """Return the float32 dot product of two (D,) rows."""
    total = np.float32(0)
    for d in range(a.shape[0]):
        total += a[d] * b[d]
    return total


@numba.njit(inline="always")
def add_scaled(out, factor, row):
    """Add ``factor * row`` to ``out``, both (D,)."""
    for d in range(out.shape[0]):
        out[d] += factor * row[d]


@numba.njit(inline="always")
def inverse_norm(row):
    """Return 1 / max(|row|, 1e-12), float32."""
    return np.float32(1) / max(np.sqrt(dot(row, row)), TINY)


@numba.njit(inline="always")
def through_normalisation(gradient, row, inverse):
    """Turn the gradient of ``row * inverse`` (a unit vector) into the gradient of ``row``, in place."""
    along = dot(gradient, row) * inverse * inverse
    for d in range(row.shape[0]):
        gradient[d] = (gradient[d] - along * row[d]) * inverse


@numba.njit(inline="always")
def fetch_row(array, start, length):
    """Ask for ``length`` entries of a contiguous float32 array from flat place ``start`` on."""
    for line in range(0, length, _LINE):
        fetch(array, start + line)


@numba.njit(inline="always")
def highest(row, room):
    """Return the largest entry, by lanes, since a loop that carries one number is not vectorised; ``room`` is (16,)."""
    n = len(row)
    whole = n - n % _LINE
    for lane in range(_LINE):
        room[lane] = row[min(lane, n - 1)]
    for start in range(_LINE, whole, _LINE):
        part = row[start : start + _LINE]
        for lane in range(_LINE):
            room[lane] = room[lane] if room[lane] > part[lane] else part[lane]
    top = room[0]
    for lane in range(1, _LINE):
        top = max(top, room[lane])
    for k in range(whole, n):
        top = max(top, row[k])
    return top
