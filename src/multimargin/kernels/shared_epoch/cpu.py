"""The compiled form: a team of threads takes each step in five strides, each row of each table moved by one owner.

1. take     the batch's users; draw its pool, list the different items
2. prepare  bring the items up to date, normalise and pack them; queries of the rows
3. score    slopes of pairs, losses, gradients of the users' rows
4. gather   gradients of the items; repeats of a user are added up; squared norms
5. move     clip by the global norm, move touched rows with lazy Adam

With hinges, cosines and margins well above 0 few pairs have a gradient: products of bytes rule out most
(``screening``), the others are scored and summed one by one. Else every pair counts: with Q (B, D) the queries, P
(M, D) the pool's M different items and G = dL/dS,

    S = Q P^T,    dL/dQ = G P,    dL/dP = G^T Q,

three products of matrices from tiles in registers. An item drawn twice is one item that counts twice. Sums that cross
rows have one owner and one order, so no result depends on the number of threads. Memory: O(B N + (B + N) D).
"""

import numba
import numpy as np

from multimargin.kernels.intrinsics import TILE_LANES
from multimargin.kernels.lazy_adam.cpu import bring_up, move_row, pass_step
from multimargin.kernels.padded_rows import add_row
from multimargin.kernels.products import add_product
from multimargin.kernels.rows import dot, fetch_row, inverse_norm
from multimargin.kernels.screening import GROUP
from multimargin.kernels.shared_epoch.scoring import prepare_rows, score_rows
from multimargin.kernels.shared_epoch.screening import pack_item
from multimargin.kernels.team import STRIDE, TOGETHER, meet, share
from multimargin.kernels.uniform_draws.cpu import draw_row
from multimargin.kernels.user_rows import ROWS_AHEAD, add_repeats, chain, fetch_idle, move_users


@numba.njit(**STRIDE)
def _take_items(drawn, batch_items, x):
    """Give each different item of the pool ``drawn`` and of the positives a slot."""
    count = 0
    for k in range(len(drawn)):  # without branches
        j = drawn[k]
        known = x.place[j]
        new = known < 0
        slot = count if new else np.int64(known)
        times = np.float32(0) if new else x.times[slot]
        x.place[j], x.item[slot], x.times[slot] = slot, j, times + np.float32(1)
        count += new
    x.counts[0] = count
    for k in range(count, len(x.times)):  # a panel's last lanes, and positives
        x.times[k] = np.float32(0)
    for b in range(len(batch_items)):
        j = np.int64(batch_items[b])
        if x.place[j] < 0:
            x.place[j], x.item[count] = count, j
            count += 1
        x.pos_slot[b] = x.place[j]
    x.counts[1] = count


@numba.njit(inline="always")
def _own_slots(thread, threads, x):
    """Return the bounds of this thread's share of the pool, and of the positives that are not in it."""
    n_pool = x.counts[0]
    first, last = share(thread, threads, n_pool)
    start, stop = share(thread, threads, x.counts[1] - n_pool)
    return (first, last), (n_pool + start, n_pool + stop)


@numba.njit(**STRIDE)
def _prepare_items(bounds, items, x, clock, settings, now):
    """Bring the items in slots between ``bounds`` up to date; fill in unit vectors."""
    first, last = bounds
    dim, n_pool = items.vectors.shape[1], x.counts[0]
    for slot in range(first, last):
        if slot + ROWS_AHEAD < last:
            fetch_idle(items, x.item[slot + ROWS_AHEAD])
        j, unit = x.item[slot], x.item_unit[slot]
        bring_up(items, j, now, clock)
        row = items.vectors[j]
        x.item_inverse[slot] = inverse = inverse_norm(row) if settings.cosine else np.float32(1)
        for d in range(dim):
            unit[d] = row[d] * inverse
        x.touched[slot] = 0
        if slot < n_pool:
            if len(settings.screened):
                pack_item(slot, x)
            else:
                panel, lane = x.item_panels[slot // TILE_LANES], slot % TILE_LANES
                for d in range(dim):
                    panel[d, lane] = unit[d]


@numba.njit(inline="always")
def _gather_pool(thread, first, last, size, x, settings):
    """Sum the gradients of the pool's items in slots ``first`` to ``last``, in the order of the batch."""
    width, across = x.query.shape[1], x.slope.shape[1]
    if not len(settings.screened):
        add_product(first, last, x.slope, 1, across, x.query, size, width, x.tiles[thread, 0], x.item_gradient)
    else:
        for b in range(size):
            if b + ROWS_AHEAD < size:
                fetch_row(x.query, (b + ROWS_AHEAD) * width, width)
            k = x.first_active[b]
            stop = k + x.n_active[b]
            while k < stop and x.active[k] < first:
                k += 1
            while k < stop and x.active[k] < last:
                slot = np.int64(x.active[k])
                x.touched[slot] = 1
                add_row(x.item_gradient, slot * width, x.query, b * width, width, x.slopes[k])  # type: ignore[call-arg]
                k += 1  # type: ignore[unreachable]


@numba.njit(inline="always")
def _finish_items(first, last, items, x, settings):
    """Lead the gradients of slots ``first`` to ``last`` through the normalisation; square their norms."""
    dim = items.vectors.shape[1]
    for slot in range(first, last):
        x.place[x.item[slot]] = -1
        x.item_norm[slot] = 0.0
        if x.touched[slot]:
            fetch_row(items.moments, 3 * x.item[slot] * dim, 2 * dim)
            g, unit = x.item_gradient[slot], x.item_unit[slot]
            if settings.cosine:
                along, inverse = dot(g, unit), x.item_inverse[slot]
                for d in range(dim):
                    g[d] = (g[d] - along * unit[d]) * inverse
            x.item_norm[slot] = np.float64(dot(g, g))


@numba.njit(**STRIDE)
def _gather(thread, threads, size, items, x, settings):
    """Sum the gradients of this thread's items, and of its share of the user rows; square their norms."""
    # 1. items: their pairs as negatives, then as positives
    pool, others = _own_slots(thread, threads, x)
    width = x.query.shape[1]
    for first, last in (pool, others):
        x.item_gradient[first:last, :] = np.float32(0)
    _gather_pool(thread, pool[0], pool[1], size, x, settings)
    for b in range(size):
        slot = x.pos_slot[b]
        if (pool[0] <= slot < pool[1] or others[0] <= slot < others[1]) and x.pos_slope[b] != np.float32(0):
            x.touched[slot] = 1
            add_row(x.item_gradient, slot * width, x.query, b * width, width, x.pos_slope[b])  # type: ignore[call-arg]
    for first, last in (pool, others):
        _finish_items(first, last, items, x, settings)
    # 2. user rows: repeats of a user are added to their first row
    first, last = share(thread, threads, size)
    for b in range(first, last):
        x.user_norm[b] = add_repeats(b, x)


@numba.njit(inline="always")
def _clip(size, x, settings):
    """Return by what gradients are multiplied."""
    scale = np.float32(1)
    if settings.clip_norm > 0:
        total = 0.0
        for b in range(size):
            total += x.user_norm[b]
        for slot in range(x.counts[1]):
            total += x.item_norm[slot]
        scale = np.float32(min(1.0, settings.clip_norm / (np.sqrt(total) + 1e-6)))
    return scale


@numba.njit(**STRIDE)
def _move(thread, threads, who, users, items, x, clock, scale, now, k):
    """Move this thread's rows by one step of Adam with their clipped gradients."""
    for first, last in _own_slots(thread, threads, x):
        for slot in range(first, last):
            if x.touched[slot]:
                move_row(items, x.item[slot], x.item_gradient[slot], scale, now, k, clock)
    first, last = share(thread, threads, len(who))
    move_users(first, last, who, users, x, scale, now, k, clock)


@numba.njit(**TOGETHER)
def run_steps(
    thread, threads, cells, users, items, clock, now, start, ends, settings, x, batch_users, batch_items, place
):  # fmt: skip
    """Train on the given interactions; ``place`` is where the first stands in the streams (see ``Launcher.run``)."""
    n_items = items.vectors.shape[0]
    if thread == threads - 1:
        draw_row(settings.negatives_key, np.uint64(place + start), n_items, settings.indices[:0], x.drawn[0])
    for k in range(len(ends)):
        stop = ends[k]
        size, who = stop - start, batch_users[start:stop]
        # 1. take
        if thread == threads - 1:
            _take_items(x.drawn[k % 2], batch_items[start:stop], x)
        if thread == 0:
            chain(who, x)
            draw_row(
                settings.negatives_key, np.uint64(place + stop), n_items, settings.indices[:0], x.drawn[(k + 1) % 2]
            )
        meet(cells, thread, threads)
        # 2. prepare
        for bounds in _own_slots(thread, threads, x):
            _prepare_items(bounds, items, x, clock, settings, now)
        first, last = share(thread, threads, (size + GROUP - 1) // GROUP)
        first, last = first * GROUP, min(last * GROUP, size)
        prepare_rows(first, last, who, place + start, users, x, clock, settings, now)
        meet(cells, thread, threads)
        # 3. score
        score_rows(thread, _own_slots(thread, threads, x)[0], first, last, who, items, x, settings)
        meet(cells, thread, threads)
        # 4. gather
        _gather(thread, threads, size, items, x, settings)
        meet(cells, thread, threads)
        # 5. move
        _move(thread, threads, who, users, items, x, clock, _clip(size, x, settings), now + 1, k)
        if thread == 0:
            pass_step(clock, now, k)  # nobody reads the clock now
            for b in range(size):
                x.total[0] += x.loss[b]
        meet(cells, thread, threads)
        now, start = now + 1, stop
