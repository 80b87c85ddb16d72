"""The items that a batch touches, block by block: pairs sorted by block, their scores, gradients and moves.

A block's rows and their gradients fit the second-level cache: they come into it once for all of their pairs, which then
pass in the order of the batch's rows, so that queries pass in order too.
"""

import numba
import numpy as np

from multimargin.kernels.intrinsics import TILE_LANES
from multimargin.kernels.lazy_adam.cpu import bring_up, move_row
from multimargin.kernels.rows import add_scaled, dot, fetch_row, inverse_norm, through_normalisation
from multimargin.kernels.scored_steps.records import BLOCKS, LANES, NEIGHBOURS
from multimargin.kernels.team import STRIDE
from multimargin.kernels.uniform_draws.cpu import draw_row
from multimargin.kernels.user_rows import ROWS_AHEAD, fetch_idle

_LEAVE = 2  # rows asked for before they are moved
_PER_LANE = BLOCKS // LANES


@numba.njit(inline="always")
def block_of(item):
    """Return the block of an item."""
    return (item // NEIGHBOURS) % BLOCKS


@numba.njit(inline="always")
def _count_run(start, stop, items, count):
    for k in range(start, stop):
        count[block_of(np.int64(items[k]))] += 1


@numba.njit(**STRIDE)
def count_pairs(thread, threads, first, last, place, n_items, shape, draws, x, settings):
    """Count the pairs of rows ``first`` to ``last`` by block, given or drawn here; row 0 stands at ``place``."""
    count = x.count[thread]
    count[:] = 0
    to_others, to_negatives = shape.rows, shape.rows * (1 + shape.others)
    if draws:
        for b in range(first, last):
            seen = settings.seen_indices[:0]
            if len(settings.seen_indptr):
                u = x.users[b]
                seen = settings.seen_indices[settings.seen_indptr[u] : settings.seen_indptr[u + 1]]
            drawn = x.item[to_negatives + b * shape.negatives : to_negatives + (b + 1) * shape.negatives]
            draw_row(settings.negatives_key, np.uint64(place + b), n_items, seen, drawn)
    _count_run(first, last, x.item, count)
    _count_run(to_others + first * shape.others, to_others + last * shape.others, x.item, count)
    _count_run(to_negatives + first * shape.negatives, to_negatives + last * shape.negatives, x.item, count)
    if thread == threads - 1:  # after all pairs, whatever the number of threads
        _count_run(0, shape.pool, x.pool, count)


@numba.njit(inline="always")
def _sort_run(start, stop, b, items, first, following, x):
    """Put ``items[start:stop]``, of row ``b``, where their blocks go on; they are pairs from ``first`` on."""
    for k in range(start, stop):
        block = block_of(np.int64(items[k]))
        at = following[block]
        x.pair[at], x.row[at], x.slot[at] = first + k - start, b, items[k]
        following[block] = at + 1


@numba.njit(**STRIDE)
def sort_pairs(thread, threads, first, last, shape, x):
    """Put the pairs of rows ``first`` to ``last`` into the order of blocks, and of rows within a block."""
    total, following = np.int64(0), x.following_pair[thread]
    for block in range(BLOCKS):
        if thread == 0:
            x.begin[block] = total
        for other in range(threads):
            if other == thread:
                following[block] = total
            total += x.count[other, block]
    if thread == 0:
        x.begin[BLOCKS] = total
    to_others, to_negatives = shape.rows, shape.rows * (1 + shape.others)
    for b in range(first, last):
        others, negatives = to_others + b * shape.others, to_negatives + b * shape.negatives
        _sort_run(b, b + 1, b, x.item, b, following, x)
        _sort_run(others, others + shape.others, b, x.item, others, following, x)
        _sort_run(negatives, negatives + shape.negatives, b, x.item, negatives, following, x)
    if thread == threads - 1:
        _sort_run(0, shape.pool, 0, x.pool, to_negatives + shape.rows * shape.negatives, following, x)


@numba.njit(inline="always")
def _visit_block(block, items, x, clock, settings, now, scores):
    """Give slots to the block's items, bring their rows up to date, score their pairs, copy those of the pool."""
    dim, n_own, start, stop = items.vectors.shape[1], len(scores), x.begin[block], x.begin[block + 1]
    # 1. slots
    end = start
    for k in range(start, stop):
        item = np.int64(x.slot[k])
        if x.place[item] < 0:
            x.place[item], x.touched[end] = end, item
            end += 1
        x.slot[k] = x.place[item]
    x.n_touched[block] = end - start
    # 2. rows
    for k in range(start, end):
        if k + ROWS_AHEAD < end:
            fetch_idle(items, np.int64(x.touched[k + ROWS_AHEAD]))
        j = np.int64(x.touched[k])
        x.place[j] = -1
        bring_up(items, j, now, clock)
        x.inverse[k] = inverse_norm(items.vectors[j]) if settings.cosine else np.float32(1)
    # 3. pairs
    for k in range(start, stop):
        pair, slot = np.int64(x.pair[k]), np.int64(x.slot[k])
        v, inverse = items.vectors[np.int64(x.touched[slot])], x.inverse[slot]
        if pair < n_own:
            scores[pair] = dot(x.query[np.int64(x.row[k]), :dim], v) * inverse
        else:
            column = pair - n_own
            unit, panel = x.pool_unit[column], x.pool_panels[column // TILE_LANES]
            at = column % TILE_LANES
            for d in range(dim):
                unit[d] = v[d] * inverse
            for d in range(dim):
                panel[d, at] = unit[d]


@numba.njit(**STRIDE)
def visit_lanes(first, last, items, x, clock, settings, now, scores):
    """Visit the blocks of some lanes."""
    for block in range(first * _PER_LANE, last * _PER_LANE):
        _visit_block(block, items, x, clock, settings, now, scores)


@numba.njit(inline="always")
def _first_gradient(block, lane, x, clips):
    """Return where the gradients of a block begin: all are kept if they are to be clipped, else a lane's last."""
    first = np.int64(0)
    if clips:
        for before in range(block):
            first += x.n_touched[before]
    else:
        first = lane * (len(x.item_gradient) // LANES)
    return first


@numba.njit(inline="always")
def _gather_block(block, lane, items, x, settings, upstream, g):
    """Sum the gradients ``g`` of the block's items, and their parts of those of queries; return the items' squares."""
    dim, n_own, zero, total = items.vectors.shape[1], len(upstream), np.float32(0), 0.0
    start, stop, count = x.begin[block], x.begin[block + 1], x.n_touched[block]
    for k in range(count):
        fetch_row(items.vectors, np.int64(x.touched[start + k]) * dim, dim)
        g[k, :] = zero
        x.active[start + k] = False
    for k in range(start, stop):
        pair, slot = np.int64(x.pair[k]), np.int64(x.slot[k])
        if pair < n_own:
            slope = upstream[pair]
            if slope != zero:
                b = np.int64(x.row[k])
                v = items.vectors[np.int64(x.touched[slot])]
                add_scaled(g[slot - start], slope, x.query[b, :dim])
                add_scaled(x.lane_gradient[lane, b, :dim], slope * x.inverse[slot], v)
                x.active[slot] = True
        else:
            row = x.pool_gradient[pair - n_own]
            largest = zero
            for d in range(dim):
                largest = max(largest, abs(row[d]))
            if largest != zero:
                add_scaled(g[slot - start], np.float32(1), row[:dim])
                x.active[slot] = True
    for k in range(count):
        if x.active[start + k]:
            if settings.cosine:
                through_normalisation(g[k], items.vectors[np.int64(x.touched[start + k])], x.inverse[start + k])
            total += np.float64(dot(g[k], g[k]))
    return total


@numba.njit(inline="always")
def _move_block(block, items, x, clock, g, scale, now, k):
    """Move the block's items by one step of Adam with their clipped gradients ``g``."""
    dim, start, count = items.vectors.shape[1], x.begin[block], x.n_touched[block]
    for slot in range(count):
        if slot + _LEAVE < count and x.active[start + slot + _LEAVE]:
            ahead = np.int64(x.touched[start + slot + _LEAVE])
            fetch_row(items.vectors, ahead * dim, dim)
            fetch_row(items.moments, 3 * ahead * dim, 3 * dim)
        if x.active[start + slot]:
            move_row(items, np.int64(x.touched[start + slot]), g[slot], scale, now, k, clock)


@numba.njit(**STRIDE)
def gather_lanes(first, last, items, x, clock, settings, rows, upstream, now, k):
    """Gather the blocks of some lanes, and their squares; what is not clipped moves while it is in the cache."""
    clips = settings.clip_norm > 0
    for lane in range(first, last):
        x.lane_gradient[lane, :rows, :] = np.float32(0)
        x.item_norm[lane] = 0.0
        for block in range(lane * _PER_LANE, (lane + 1) * _PER_LANE):
            g = x.item_gradient[_first_gradient(block, lane, x, clips) :]
            x.item_norm[lane] += _gather_block(block, lane, items, x, settings, upstream, g)
            if not clips:
                _move_block(block, items, x, clock, g, np.float32(1), now, k)


@numba.njit(**STRIDE)
def move_lanes(first, last, items, x, clock, scale, now, k):
    """Move the items of some lanes with their clipped gradients."""
    for lane in range(first, last):
        for block in range(lane * _PER_LANE, (lane + 1) * _PER_LANE):
            _move_block(block, items, x, clock, x.item_gradient[_first_gradient(block, lane, x, True) :], scale, now, k)
