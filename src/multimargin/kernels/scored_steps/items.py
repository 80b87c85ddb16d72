"""The items that a batch touches, lane by lane: their pairs chained, their scores, their gradients, their moves."""

import numba
import numpy as np

from multimargin.kernels.intrinsics import TILE_LANES
from multimargin.kernels.lazy_adam.cpu import bring_up, move_row
from multimargin.kernels.rows import add_scaled, dot, fetch_row, inverse_norm, through_normalisation
from multimargin.kernels.scored_steps.records import LANES, NEIGHBOURS
from multimargin.kernels.uniform_draws.cpu import draw_row
from multimargin.kernels.user_rows import ROWS_AHEAD, fetch_idle

_LEAVE = 2  # rows asked for before they are moved


@numba.njit(inline="always")
def lane_of(item):
    """Return which lane owns an item."""
    return (item // NEIGHBOURS) % LANES


@numba.njit(inline="always")
def _list_run(thread, b, start, stop, x):
    """Put pairs ``start`` to ``stop``, of row ``b``, on their lanes' lists."""
    for pair in range(start, stop):
        x.row[pair] = b
        lane = lane_of(np.int64(x.item[pair]))
        count = x.n_listed[thread, lane]
        x.listed[thread, lane, count] = pair
        x.n_listed[thread, lane] = count + 1


@numba.njit(inline="always")
def list_pairs(thread, first, last, place, n_items, shape, draws, x, settings):
    """List the pairs of rows ``first`` to ``last``, drawn here or given; row 0 stands at ``place`` in the stream."""
    x.n_listed[thread, :] = 0
    to_others, to_negatives = shape.rows, shape.rows * (1 + shape.others)
    for b in range(first, last):
        start, stop = to_negatives + b * shape.negatives, to_negatives + (b + 1) * shape.negatives
        if draws:
            seen = settings.seen_indices[:0]
            if len(settings.seen_indptr):
                u = x.users[b]
                seen = settings.seen_indices[settings.seen_indptr[u] : settings.seen_indptr[u + 1]]
            draw_row(settings.negatives_key, np.uint64(place + b), n_items, seen, x.item[start:stop])
        _list_run(thread, b, b, b + 1, x)
        _list_run(thread, b, to_others + b * shape.others, to_others + (b + 1) * shape.others, x)
        _list_run(thread, b, start, stop, x)


@numba.njit(inline="always")
def _chain(lane, pair, item, count, x):
    """Add a pair to the slot of its item, a new one if need be; return the number of slots."""
    slot = np.int64(x.place[item])
    x.after[pair] = -1
    if slot < 0:
        slot, count = count, count + 1
        x.place[item], x.touched[lane, slot], x.first[lane, slot] = slot, item, pair
    else:
        x.after[x.last[lane, slot]] = pair
    x.last[lane, slot] = pair
    return count


@numba.njit(inline="always")
def visit_lane(lane, threads, items, x, clock, settings, now, shape, scores):
    """Give slots to the lane's items, bring their rows up to date, score their pairs, copy those of the pool."""
    dim, n_own = items.vectors.shape[1], len(scores)
    # 1. slots
    count = 0
    for thread in range(threads):
        listed = x.listed[thread, lane]
        for k in range(x.n_listed[thread, lane]):
            pair = np.int64(listed[k])
            count = _chain(lane, pair, np.int64(x.item[pair]), count, x)
    for k in range(shape.pool):
        item = np.int64(x.pool[k])
        if lane_of(item) == lane:
            count = _chain(lane, n_own + k, item, count, x)
    x.n_touched[lane] = count
    # 2. rows
    for slot in range(count):
        if slot + ROWS_AHEAD < count:
            fetch_idle(items, x.touched[lane, slot + ROWS_AHEAD])
        j = x.touched[lane, slot]
        x.place[j] = -1
        bring_up(items, j, now, clock)
        v = items.vectors[j]
        inverse = inverse_norm(v) if settings.cosine else np.float32(1)
        x.inverse[lane, slot] = inverse
        pair = np.int64(x.first[lane, slot])
        while pair >= 0:
            if pair < n_own:
                scores[pair] = dot(x.query[x.row[pair], :dim], v) * inverse
            else:
                column = pair - n_own
                unit, panel = x.pool_unit[column], x.pool_panels[column // TILE_LANES]
                at = column % TILE_LANES
                for d in range(dim):
                    unit[d] = v[d] * inverse
                for d in range(dim):
                    panel[d, at] = unit[d]
            pair = np.int64(x.after[pair])


@numba.njit(inline="always")
def gather_lane(lane, items, x, settings, shape, upstream):
    """Sum the gradients of the lane's items, and their parts of the gradients of queries; square the items' norms."""
    dim, n_own, zero = items.vectors.shape[1], len(upstream), np.float32(0)
    count, total = x.n_touched[lane], 0.0
    x.lane_gradient[lane, : shape.rows, :] = zero
    for slot in range(count):
        if slot + ROWS_AHEAD < count:
            fetch_row(items.vectors, x.touched[lane, slot + ROWS_AHEAD] * dim, dim)
        v, g, inverse = items.vectors[x.touched[lane, slot]], x.item_gradient[lane, slot], x.inverse[lane, slot]
        active = False
        g[:] = zero
        pair = np.int64(x.first[lane, slot])
        while pair >= 0:
            if pair < n_own:
                slope = upstream[pair]
                if slope != zero:
                    b = np.int64(x.row[pair])
                    add_scaled(g, slope, x.query[b, :dim])
                    add_scaled(x.lane_gradient[lane, b, :dim], slope * inverse, v)
                    active = True
            else:
                row = x.pool_gradient[pair - n_own]
                largest = zero
                for d in range(dim):
                    largest = max(largest, abs(row[d]))
                if largest != zero:
                    add_scaled(g, np.float32(1), row[:dim])
                    active = True
            pair = np.int64(x.after[pair])
        x.active[lane, slot] = active
        if active:
            if settings.cosine:
                through_normalisation(g, v, inverse)
            total += np.float64(dot(g, g))
    x.item_norm[lane] = total


@numba.njit(inline="always")
def move_lane(lane, items, x, clock, scale, now, k):
    """Move the lane's items by one step of Adam with their clipped gradients."""
    dim, count = items.vectors.shape[1], x.n_touched[lane]
    for slot in range(count):
        if slot + _LEAVE < count and x.active[lane, slot + _LEAVE]:
            ahead = x.touched[lane, slot + _LEAVE]
            fetch_row(items.vectors, ahead * dim, dim)
            fetch_row(items.moments, 3 * ahead * dim, 3 * dim)
        if x.active[lane, slot]:
            move_row(items, x.touched[lane, slot], x.item_gradient[lane, slot], scale, now, k, clock)
