"""A lane's items against the batch's users where every pair has a gradient: scores and sums are products of matrices.

With V (64, D) unit vectors of items, Q (G, D) queries and S (64, G) = dL/dscores, weights and seen pairs included,

    scores = V Q^T,    dL/dV = S Q,    dL/dQ = S^T V,

64 items at a time, so that what is written is read again before it leaves the cache.
"""

import numba
import numpy as np

from multimargin.kernels.grouped_epoch.lanes import first_from, touch
from multimargin.kernels.grouped_epoch.records import BLOCK, LANES
from multimargin.kernels.intrinsics import TILE_LANES, TILE_ROWS, multiply_tile
from multimargin.kernels.lazy_adam.cpu import bring_up
from multimargin.kernels.products import add_product
from multimargin.kernels.rows import dot, fetch_row, inverse_norm
from multimargin.kernels.team import STRIDE, share
from multimargin.kernels.terms import tile_terms


@numba.njit(**STRIDE)
def scan_all(lane, people, position, n_users, items, x, clock, settings, now):
    """Score the lane's items with the batch's users; sum loss and gradients."""
    x.n_touched[lane] = 0
    x.push[lane, :] = 0.0
    x.part[lane, :n_users, :] = np.float32(0)
    first, last = share(lane, LANES, items.vectors.shape[0])
    for g in range(n_users):
        x.next_seen[lane, g] = first_from(settings, people[position + g], first)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        _prepare(lane, start, count, items, x, clock, settings, now)
        _mark_counted(lane, start, count, people, position, n_users, x, settings)
        _score(lane, count, n_users, items.vectors.shape[1], x, settings)
        _sum(lane, start, count, n_users, x)


@numba.njit(inline="always")
def _prepare(lane, start, count, items, x, clock, settings, now):
    """Bring ``count`` items from ``start`` on up to date; fill in their unit vectors."""
    dim = items.vectors.shape[1]
    for r in range(count):
        j, unit = start + r, x.block[lane, r]
        ahead = min(j + TILE_ROWS, items.vectors.shape[0] - 1)
        fetch_row(items.vectors, ahead * dim, dim)
        fetch_row(items.moments, 3 * ahead * dim + 2 * dim, dim)
        bring_up(items, j, now, clock)
        row = items.vectors[j]
        x.item_inverse[j] = inverse = inverse_norm(row) if settings.cosine else np.float32(1)
        for d in range(dim):
            unit[d] = row[d] * inverse


@numba.njit(inline="always")
def _mark_counted(lane, start, count, people, position, n_users, x, settings):
    """Set ``slope`` to 1 where a pair counts, and to 0 where the user has the item and that is left out."""
    counted = x.slope[lane]
    counted[:, :] = np.float32(1)
    if settings.exclude_seen:
        for g in range(n_users):
            k, stop = x.next_seen[lane, g], settings.indptr[people[position + g] + 1]
            while k < stop and settings.indices[k] < start + count:
                counted[settings.indices[k] - start, g] = np.float32(0)
                k += 1
            x.next_seen[lane, g] = k


@numba.njit(inline="always")
def _score(lane, count, n_users, dim, x, settings):
    """Replace ``slope`` by the slopes of the pairs that count; add their costs."""
    tile, costs, slopes = x.tiles[lane, 0], x.tiles[lane, 1], x.tiles[lane, 2]
    width = x.block.shape[2]
    for r in range(0, count, TILE_ROWS):
        rows = min(TILE_ROWS, count - r)
        for start in range(0, n_users, TILE_LANES):
            place = (lane * BLOCK + r) * width
            multiply_tile(x.block, place, width, 1, rows, x.panels, start * dim, TILE_LANES, dim, tile)  # type: ignore[call-arg]
            tile_terms(settings.terms, tile, rows, costs, slopes)  # type: ignore[unreachable]
            per_pair, push = x.per_pair[start : start + TILE_LANES], x.push[lane, start : start + TILE_LANES]
            for k in range(rows):
                counted = x.slope[lane, r + k, start : start + TILE_LANES]
                for column in range(TILE_LANES):
                    push[column] += np.float64(costs[k, column] * counted[column])
                    counted[column] *= slopes[k, column] * per_pair[column]


@numba.njit(inline="always")
def _sum(lane, start, count, n_users, x):
    """Add the block's gradients to those of the lane's items and of the users."""
    across, width = x.slope.shape[2], x.block.shape[2]
    sums, tile, dim = x.sums[lane], x.tiles[lane, 0], x.item_gradient.shape[2]
    sums[:, :] = np.float32(0)
    add_product(0, count, x.slope[lane], across, 1, x.query, n_users, width, tile, sums)
    add_product(0, n_users, x.slope[lane], 1, across, x.block[lane], count, width, tile, x.part[lane])
    for r in range(count):
        row, inverse = touch(lane, start + r, x), x.item_inverse[start + r]
        gradient, along = x.item_gradient[lane, row], dot(sums[r], x.block[lane, r])
        for d in range(dim):
            gradient[d] = sums[r, d] * inverse
        x.along[lane, row] = along * inverse * inverse
