"""Sums of products of rows: tiles in registers, each sum in one order."""

import numba

from multimargin.kernels.intrinsics import TILE_LANES, TILE_ROWS, multiply_tile

_DEPTH = 256  # terms of a sum at a time: what they read stays in the cache


@numba.njit(inline="always")
def add_product(first, stop, left, row, step, right, depth, width, tile, result):
    """Add to rows ``first`` to ``stop`` of ``result`` the sum over t of ``left[r row + t step] * right[t]``.

    Places in ``left`` are flat; ``right`` and ``result`` have rows of ``width``, a multiple of 16; ``tile`` is (8, 16).
    Each sum is taken in the order of t, 256 terms at a time, whatever ``first`` and ``stop``.
    """
    for start in range(0, depth, _DEPTH):
        terms = min(_DEPTH, depth - start)
        for r in range(first, stop, TILE_ROWS):
            rows = min(TILE_ROWS, stop - r)
            for d in range(0, width, TILE_LANES):
                multiply_tile(  # type: ignore[call-arg]
                    left, r * row + start * step, row, step, rows, right, start * width + d, width, terms, tile
                )
                for k in range(rows):  # type: ignore[unreachable]
                    for lane in range(TILE_LANES):
                        result[r + k, d + lane] += tile[k, lane]
