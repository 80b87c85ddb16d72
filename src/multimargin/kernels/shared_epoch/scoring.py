"""The rows of a batch: their queries, the slopes of their pairs, their losses, and the gradients of their users."""

import numba
import numpy as np

from multimargin.kernels.draws import keep_scales
from multimargin.kernels.intrinsics import TILE_LANES, TILE_ROWS, fetch, multiply_tile
from multimargin.kernels.lazy_adam.cpu import missing_drift
from multimargin.kernels.padded_rows import add_row, dot_rows
from multimargin.kernels.products import add_product
from multimargin.kernels.rows import add_scaled, dot, fetch_row, inverse_norm
from multimargin.kernels.screening import CHUNK, lowest_bit
from multimargin.kernels.shared_epoch.screening import screen
from multimargin.kernels.terms import hinge_terms, negative_terms, positive_term

_ONE_BIT = np.uint64(1)


@numba.njit(inline="always")
def fetch_idle(table, row):
    """Ask for what reading ``row`` as of now needs."""
    dim = table.vectors.shape[1]
    fetch(table.last, row)
    fetch(table.applied, row)
    fetch_row(table.vectors, row * dim, dim)
    fetch_row(table.moments, (3 * row + 2) * dim, dim)


@numba.njit(inline="always")
def prepare_row(b, place, users, x, clock, settings, now):
    """Fill in the query of row ``b``, which stands at ``place`` in the stream of dropout."""
    row, dim = x.users[b], users.vectors.shape[1]
    unit, q, keep = x.unit[b], x.query[b], x.keep[b]
    w, e = users.vectors[row], users.moments[row, 2]
    x.lacking[b] = missing = missing_drift(users.last, users.applied, row, now, clock)
    for d in range(dim):
        unit[d] = w[d] - missing * e[d]
    x.user_inverse[b] = inverse = inverse_norm(unit) if settings.cosine else np.float32(1)
    if settings.dropout > np.float32(0):
        keep_scales(settings.dropout_key, place, settings.dropout, keep)
    for d in range(dim):
        unit[d] *= inverse
        q[d] = unit[d] * keep[d]


@numba.njit(inline="always")
def _mark_seen(b, n_pool, x, settings):
    """Set the bits of the pool's items that the row's user has; return how many draws they are."""
    x.seen[b, :] = 0
    count = np.float32(0)
    if settings.exclude_seen:
        user = x.users[b]
        for k in range(settings.indptr[user], settings.indptr[user + 1]):
            slot = np.int64(x.place[settings.indices[k]])
            if 0 <= slot < n_pool:
                x.seen[b, slot // CHUNK] |= _ONE_BIT << np.uint64(slot % CHUNK)
                count += x.times[slot]
    return count


@numba.njit(inline="always")
def score_rows(thread, first, last, size, dim, x, settings):
    """Fill in rows ``first`` to ``last`` of a batch of ``size``, all but what crosses rows."""
    n_pool = x.counts[0]
    for b in range(first, last):
        seen = _mark_seen(b, n_pool, x, settings)
        x.per_draw[b] = np.float32(1) / (max(np.float32(settings.n_negatives) - seen, np.float32(1)))
        x.loss[b] = 0.0
        x.user_gradient[b, :] = np.float32(0)
    if settings.screened:
        _score_screened(thread, first, last, size, n_pool, dim, x, settings)
    else:
        _score_all(thread, first, last, size, n_pool, dim, x, settings)
    for b in range(first, last):
        _finish_row(b, size, dim, x, settings)


@numba.njit(inline="always")
def _score_screened(thread, first, last, size, n_pool, dim, x, settings):
    """Score the pairs that the screen lets through; sum loss and gradients of those above a margin."""
    width, scores, costs = x.query.shape[1], x.score[thread, 0], x.score[thread, 1]
    per_row = np.float32(1) / np.float32(size)
    screen(first, last, n_pool, dim, settings.terms.margins[0], x)
    for b in range(first, last):
        active, slopes, per_draw, cost = x.active[b], x.slope[b], x.per_draw[b], 0.0
        # 1. who they are
        count = 0
        for chunk in range((n_pool + CHUNK - 1) // CHUNK):
            bits = x.found[b, chunk] & ~x.seen[b, chunk]
            here = n_pool - chunk * CHUNK
            if here < CHUNK:
                bits &= (_ONE_BIT << np.uint64(here)) - _ONE_BIT
            while bits:
                active[count] = chunk * CHUNK + np.int64(lowest_bit(bits))  # type: ignore[call-arg]
                count += 1  # type: ignore[unreachable]
                bits &= bits - _ONE_BIT
        # 2. what they score
        for k in range(count):
            slot = np.int64(active[k])
            scores[k] = dot_rows(x.query, b * width, x.item_unit, slot * width, width)  # type: ignore[call-arg]
        # 3. what they cost; those with a gradient move up
        hinge_terms(settings.terms, scores, count, costs, slopes)
        candidates, count = count, 0
        for k in range(candidates):
            counted = x.times[active[k]] * per_draw
            cost += np.float64(costs[k] * counted)
            active[count], slopes[count] = active[k], slopes[k] * counted * per_row
            count += slopes[count] != np.float32(0)
        x.loss[b], x.n_active[b] = cost, count
        # 4. the gradient of the query
        for k in range(count):
            slot = np.int64(active[k])
            add_row(x.user_gradient, b * width, x.item_unit, slot * width, width, slopes[k])  # type: ignore[call-arg]


@numba.njit(inline="always")
def _score_all(thread, first, last, size, n_pool, dim, x, settings):
    """Score all pairs, 8 rows with 16 items at a time; sum loss and gradients."""
    tile, costs, slopes, room = x.tiles[thread, 0], x.tiles[thread, 1], x.tiles[thread, 2], x.tiles[thread, 3]
    width, across = x.query.shape[1], x.slope.shape[1]
    any_slope = room[0]
    for start in range(0, n_pool, TILE_LANES):
        any_slope[:] = np.float32(0)
        panel = start // TILE_LANES
        for b in range(first, last, TILE_ROWS):
            rows = min(TILE_ROWS, last - b)
            multiply_tile(
                x.query, b * width, width, 1, rows, x.item_panels, panel * dim * TILE_LANES, TILE_LANES, dim, tile
            )  # type: ignore[call-arg]
            negative_terms(settings.terms, tile, rows, costs, slopes)  # type: ignore[unreachable]
            for r in range(rows):
                per_draw, out = x.per_draw[b + r], x.slope[b + r, start : start + TILE_LANES]
                seen = np.int64(x.seen[b + r, start // CHUNK] >> np.uint64(start % CHUNK))
                times = x.times[start : start + TILE_LANES]
                per_pair = per_draw / np.float32(size)
                for lane in range(TILE_LANES):
                    counted = times[lane] * np.float32(1 - ((seen >> lane) & 1))
                    out[lane] = slopes[r, lane] * counted * per_pair
                    costs[r, lane] *= counted
                    any_slope[lane] = max(any_slope[lane], abs(out[lane]))
                cost = np.float32(0)
                for lane in range(TILE_LANES):
                    cost += costs[r, lane]
                x.loss[b + r] += np.float64(cost * per_draw)
        for lane in range(TILE_LANES):
            if any_slope[lane] > np.float32(0):
                x.touched[start + lane] = 1  # others may write the same at the same time
    add_product(first, last, x.slope, across, 1, x.item_unit, n_pool, width, tile, x.user_gradient)


@numba.njit(inline="always")
def _finish_row(b, size, dim, x, settings):
    """Add the positive's part, and lead the gradient through dropout and normalisation."""
    q, g, unit, keep, slot = x.query[b], x.user_gradient[b], x.unit[b], x.keep[b], x.pos_slot[b]
    score = dot(q, x.item_unit[slot])
    cost, slope = positive_term(settings.terms, score)
    slope /= np.float32(size)
    x.loss[b] += np.float64(cost)
    x.pos_score[b], x.pos_slope[b] = score, slope
    if slope != np.float32(0):
        add_scaled(g, slope, x.item_unit[slot])
    for d in range(dim):
        g[d] *= keep[d]
    if settings.cosine:
        along = np.float32(0)
        for d in range(dim):
            along += g[d] * unit[d]
        for d in range(dim):
            g[d] = (g[d] - along * unit[d]) * x.user_inverse[b]
