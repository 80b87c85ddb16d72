"""The compiled form: a team of threads takes each step in three strides, each row of each table moved by one owner.

1. score    draw negatives by place; scores, loss, the gradient of each user's row; keep pairs above the smallest margin
2. gather   sum their gradients per item row and per user row, in the order of the batch; squared norms
3. move     clip by the global norm, move touched rows with lazy Adam

Idle rows are read as they would be, ``w - missing e`` (``lazy_adam/schedule.py``), and only rows with a gradient are
written. Pairs at or below the smallest margin have a gradient of exactly 0; most are ruled out by ``screening``.
Sums that cross rows are taken in a fixed order over a fixed number of lanes, so no result depends on the number of
threads. Memory: O(B (N + D)), and (I, D) address space of which only the pages of touched rows are ever used.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

from multimargin.kernels.fused_epoch.records import LANES
from multimargin.kernels.fused_epoch.scoring import find_candidates, form_queries, score_rows
from multimargin.kernels.fused_epoch.screening import copy_all, copy_due, copy_row
from multimargin.kernels.lazy_adam.cpu import Clock, bring_up, move_row
from multimargin.kernels.rows import add_scaled, dot, fetch_row
from multimargin.kernels.team import STRIDE, TOGETHER, meet, share
from multimargin.kernels.user_rows import add_repeats, chain, move_users

_LEAVE = 2  # rows asked for before they are moved


class Batch(NamedTuple):
    """The interactions of a batch."""

    users: Any  # (B,) int32
    positives: Any  # (B,) int32


@numba.njit(inline="always")
def _gather_lane(lane, threads, items, x, clock, settings, now, size):
    """Sum the gradients of this lane's item rows, and of its share of the user rows; square their norms."""
    dim = items.vectors.shape[1]
    zero = np.float32(0)
    touched, gradient, along = x.touched[lane], x.item_gradient[lane], x.along[lane]
    # 1. this lane's item rows: the part along the queries, in the order of the batch
    count = 0
    for thread in range(threads):
        item, row_of = x.active_item[thread, lane], x.active_row[thread, lane]
        factors, alongs = x.active_factor[thread, lane], x.active_along[thread, lane]
        n_active = x.n_active[thread, lane]
        for p in range(n_active):
            if p + _LEAVE < n_active:
                fetch_row(x.query, np.int64(row_of[p + _LEAVE]) * dim, dim)
            j = np.int64(item[p])
            if x.place[j] < 0:
                x.place[j] = count
                touched[count], along[count] = j, zero
                gradient[count, :] = zero
                count += 1
                fetch_row(items.vectors, j * dim, dim)
                fetch_row(items.moments, (3 * j + 2) * dim, dim)
            row = x.place[j]
            add_scaled(gradient[row], factors[p], x.query[row_of[p]])
            along[row] += alongs[p]
    # 2. minus what lies along the item's own vector
    total = 0.0
    for row in range(count):
        j = touched[row]
        x.place[j] = -1
        bring_up(items, j, now, clock)
        g = gradient[row]
        if settings.cosine:
            add_scaled(g, -along[row], items.vectors[j])
        total += np.float64(dot(g, g))
    x.n_touched[lane] = count
    x.norm[0, lane] = total
    # 3. user rows: repeats of a user are added to their first row
    total = 0.0
    first, last = share(lane, LANES, size)
    for b in range(first, last):
        x.lane_loss[lane] += x.loss[b]
        total += add_repeats(b, x)
    x.norm[1, lane] = total


@numba.njit(**STRIDE)
def _gather(first_lane, last_lane, threads, items, x, clock, settings, now, size):
    """Do so for some lanes."""
    for lane in range(first_lane, last_lane):
        _gather_lane(lane, threads, items, x, clock, settings, now, size)


@numba.njit(inline="always")
def _move_lane(lane, batch, users, items, x, clock, settings, scale, now, k, size):
    """Move this lane's rows by one step of Adam with their clipped gradients."""
    touched, gradient = x.touched[lane], x.item_gradient[lane]
    count, dim = x.n_touched[lane], items.vectors.shape[1]
    for row in range(count):
        if row + _LEAVE < count:
            fetch_row(items.vectors, touched[row + _LEAVE] * dim, dim)
            fetch_row(items.moments, 3 * touched[row + _LEAVE] * dim, 3 * dim)
        move_row(items, touched[row], gradient[row], scale, now, k, clock)
        if len(settings.screened):
            copy_row(touched[row], items, x, clock, settings, now)
    first, last = share(lane, LANES, size)
    move_users(first, last, batch.users, users, x, scale, now, k, clock)


@numba.njit(**STRIDE)
def _move(first_lane, last_lane, batch, users, items, x, clock, settings, scale, now, k, size):
    """Do so for some lanes."""
    for lane in range(first_lane, last_lane):
        _move_lane(lane, batch, users, items, x, clock, settings, scale, now, k, size)


@numba.njit(inline="always")
def _tick(thread, clock, now, k):
    """Bring the thread's own drift sums from step ``now`` to the next: R_T[i] = R_{T-1}[i-1] + r^i rate."""
    for idle in range(clock.horizon, 0, -1):
        clock.drift[idle] = clock.drift[idle - 1] + clock.power[idle] * clock.rate[k]
    if thread == 0 and now + 1 - clock.horizon - clock.base >= 0:  # which nobody reads before the next step
        clock.tail[now + 1 - clock.horizon - clock.base] = clock.drift[clock.horizon]


@numba.njit(**TOGETHER)
def run_steps(
    thread, threads, cells, users, items, clock, now, start, ends, settings, x, batch_users, batch_positives, place
):
    """Train on the given interactions; ``place`` is where the first stands in the streams (see ``Launcher.run``)."""
    first_lane, last_lane = share(thread, threads, LANES)  # neighbours, so that who scores a user's row also moves it
    shared = clock.drift
    clock = Clock(
        clock.base, clock.horizon, clock.power, x.drift[thread, : clock.horizon + 1], clock.tail, clock.rate,
        clock.eps_now, clock.eps_idle, clock.beta1, clock.beta2, clock.decay_low, clock.decay_high, clock.weight_decay,
    )  # fmt: skip
    for idle in range(clock.horizon + 1):
        clock.drift[idle] = shared[idle]
    if x.anew[0] and len(settings.screened):
        copy_all(first_lane, last_lane, items, x, clock, settings, now)
    meet(cells, thread, threads)
    if thread == 0:
        x.anew[0] = 0
    for k in range(len(ends)):
        stop = ends[k]
        size = stop - start
        batch = Batch(batch_users[start:stop], batch_positives[start:stop])
        # 1. score
        if thread == 0:
            chain(batch.users, x)
        first, last = share(thread, threads, size)
        form_queries(first, last, batch, users, x, clock, settings, now, place + start)
        find_candidates(thread, first, last, batch, items, x, clock, settings, now, place + start)
        score_rows(thread, first, last, batch, items, x, clock, settings, now, size)
        meet(cells, thread, threads)
        # 2. gather
        _gather(first_lane, last_lane, threads, items, x, clock, settings, now, size)
        meet(cells, thread, threads)
        # 3. move
        scale = np.float32(1)
        if settings.clip_norm > 0:
            total = 0.0
            for lane in range(LANES):
                total += x.norm[0, lane] + x.norm[1, lane]
            scale = np.float32(min(1.0, settings.clip_norm / (np.sqrt(total) + 1e-6)))
        _move(first_lane, last_lane, batch, users, items, x, clock, settings, scale, now + 1, k, size)
        _tick(thread, clock, now, k)
        now, start = now + 1, stop
        if len(settings.screened):
            copy_due(first_lane, last_lane, items, x, clock, settings, now)
        meet(cells, thread, threads)
    if thread == 0:
        for idle in range(clock.horizon + 1):
            shared[idle] = clock.drift[idle]
        x.total[0] = 0.0
        for lane in range(LANES):
            x.total[0] += x.lane_loss[lane]
