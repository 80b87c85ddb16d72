"""The rows of a batch: their queries, the slopes of their pairs, their losses, and the gradients of their users."""

import numba
import numpy as np

from multimargin.kernels.intrinsics import TILE_LANES, TILE_ROWS, multiply_tile
from multimargin.kernels.padded_rows import add_row, dot_rows
from multimargin.kernels.products import add_product
from multimargin.kernels.rows import add_scaled, dot, fetch_row
from multimargin.kernels.screening import CHUNK, lowest_bit
from multimargin.kernels.shared_epoch.records import PAIRS_AHEAD
from multimargin.kernels.shared_epoch.screening import screen
from multimargin.kernels.team import STRIDE
from multimargin.kernels.terms import negative_terms, positive_term, tile_terms
from multimargin.kernels.user_rows import ROWS_AHEAD, fetch_idle, form_query, through_query

_ONE_BIT = np.uint64(1)


@numba.njit(**STRIDE)
def prepare_rows(first, last, who, place, users, x, clock, settings, now):
    """Fill in the queries of rows ``first`` to ``last``; row 0 stands at ``place`` in the stream of dropout."""
    for b in range(first, last):
        if b + ROWS_AHEAD < last:
            fetch_idle(users, np.int64(who[b + ROWS_AHEAD]))
        form_query(b, np.int64(who[b]), place + b, users, x, clock, settings, now)


@numba.njit(inline="always")
def _mark_seen(b, user, n_pool, x, settings):
    """Set the bits of the pool's items that the row's user has; return how many draws they are."""
    count = np.float32(0)
    if settings.exclude_seen:
        x.seen[b, :] = 0
        for k in range(settings.indptr[user], settings.indptr[user + 1]):
            slot = np.int64(x.place[settings.indices[k]])
            if 0 <= slot < n_pool:
                x.seen[b, slot // CHUNK] |= _ONE_BIT << np.uint64(slot % CHUNK)
                count += x.times[slot]
    return count


@numba.njit(**STRIDE)
def score_rows(thread, own, first, last, who, items, x, settings):
    """Fill in rows ``first`` to ``last`` of a batch of users ``who``, all but what crosses rows.

    ``own`` are the bounds of the thread's slots of the pool.
    """
    n_pool, size, dim = x.counts[0], len(who), items.vectors.shape[1]
    for b in range(first, last):
        seen = _mark_seen(b, who[b], n_pool, x, settings)
        x.per_draw[b] = np.float32(1) / (max(np.float32(settings.n_negatives) - seen, np.float32(1)))
        x.loss[b] = 0.0
        x.user_gradient[b, :] = np.float32(0)
    if len(settings.screened):
        screen(own, first, last, n_pool, settings.terms.margins[0], items, x)
        _score_listed(first, _list_pairs(thread, first, last, n_pool, x), last, size, x, settings)
    else:
        _score_all(thread, first, last, size, n_pool, dim, x, settings)
    for b in range(first, last):
        _finish_row(b, size, x, settings)


@numba.njit(inline="always")
def _list_pairs(thread, first, last, n_pool, x):
    """List the pairs of rows ``first`` to ``last`` that the screen lets through; return where the list ends.

    Without branches that depend on the bits: half of them would be guessed wrong.
    """
    chunks, count = (n_pool + CHUNK - 1) // CHUNK, first * x.slope.shape[1]
    words, starts = x.words[thread], x.starts[thread]
    last_bits = ~np.uint64(0) >> np.uint64(chunks * CHUNK - n_pool)
    for b in range(first, last):
        # 1. the words that have a bit, one after another, then one without
        filled = 0
        for chunk in range(chunks):
            bits = x.found[b, chunk] & ~x.seen[b, chunk]
            if chunk == chunks - 1:
                bits &= last_bits
            words[filled], starts[filled] = bits, chunk * CHUNK
            filled += bits != 0
        words[filled] = 0
        # 2. their bits
        word, bits = 0, words[0]
        while word < filled:
            x.active[count] = starts[word] + np.int64(lowest_bit(bits))  # type: ignore[call-arg]
            x.row[count] = b  # type: ignore[unreachable]
            count += 1
            bits &= bits - _ONE_BIT
            word += bits == 0
            following = words[word]
            bits = following if bits == 0 else bits
    return count


@numba.njit(inline="always")
def _score_listed(first, stop, last, size, x, settings):
    """Score the listed pairs, up to ``stop``; sum loss and gradients of those above a margin, and keep them listed."""
    width, start, per_row = x.query.shape[1], first * x.slope.shape[1], np.float32(1) / np.float32(size)
    scores, costs, slopes = x.score[start:stop], x.cost[start:stop], x.slopes[start:stop]
    slot, row = x.active[start:], x.row[start:]
    count = stop - start
    # 1. what they score
    for k in range(count):
        fetch_row(x.item_unit, np.int64(slot[k + PAIRS_AHEAD]) * width, width)  # beyond the end: any item
        scores[k] = dot_rows(x.query, np.int64(row[k]) * width, x.item_unit, np.int64(slot[k]) * width, width)  # type: ignore[call-arg]
    # 2. what they cost; those with a gradient move up
    negative_terms(settings.terms, scores, count, costs, slopes)
    x.n_active[first:last] = 0
    kept = 0
    for k in range(count):
        b = row[k]
        counted = x.times[slot[k]] * x.per_draw[b]
        x.loss[b] += np.float64(costs[k] * counted)
        slot[kept], row[kept], slopes[kept] = slot[k], b, slopes[k] * counted * per_row
        has = slopes[kept] != np.float32(0)
        x.n_active[b] += has
        kept += has
    for b in range(first, last):
        x.first_active[b] = start
        start += x.n_active[b]
    # 3. the gradients of the queries
    for k in range(kept):
        add_row(x.user_gradient, np.int64(row[k]) * width, x.item_unit, np.int64(slot[k]) * width, width, slopes[k])  # type: ignore[call-arg]


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
            tile_terms(settings.terms, tile, rows, costs, slopes)  # type: ignore[unreachable]
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
def _finish_row(b, size, x, settings):
    """Add the positive's part, and lead the gradient through dropout and normalisation."""
    q, g, slot = x.query[b], x.user_gradient[b], x.pos_slot[b]
    score = dot(q, x.item_unit[slot])
    cost, slope = positive_term(settings.terms, score)
    slope /= np.float32(size)
    x.loss[b] += np.float64(cost)
    x.pos_score[b], x.pos_slope[b] = score, slope
    if slope != np.float32(0):
        add_scaled(g, slope, x.item_unit[slot])
    through_query(b, x, settings)
