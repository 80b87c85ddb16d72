"""The compiled form: a team of threads takes each step in three strides, each row of each table moved by one owner.

1. score    draw negatives by place; scores, loss, the gradient of each user's row; keep pairs above the smallest margin
2. gather   sum their gradients per item row and per user row, in the order of the batch; squared norms
3. move     clip by the global norm, move touched rows with lazy Adam

Idle rows are read as they would be, ``w - missing e`` (``lazy_adam/schedule.py``), and only rows with a gradient are
written. Pairs at or below the smallest margin have a gradient of exactly 0; most are ruled out by ``screening``.
Sums that cross rows are taken in a fixed order over a fixed number of lanes, so no result depends on the number of
threads. Memory: O(B (N + D)), and (I, D) address space of which only the pages of touched rows are ever used.
"""

import numba
import numpy as np

from multimargin.kernels.fused_epoch.records import LANES
from multimargin.kernels.fused_epoch.scoring import draw, fetch_start, score_row
from multimargin.kernels.fused_epoch.screening import copy_all, copy_listed, copy_row
from multimargin.kernels.intrinsics import fetch
from multimargin.kernels.lazy_adam.cpu import bring_up, move_row
from multimargin.kernels.rows import add_scaled, dot, fetch_row
from multimargin.kernels.team import TOGETHER, meet, share

_AHEAD = 16  # interactions asked for before they are taken


@numba.njit(inline="always")
def _take_batch(x, pair_users, pair_items, order, position, size):
    """List the users and positives of ``order[position:position+size]``; chain the rows of one user."""
    for b in range(size):
        if b + _AHEAD < size:
            pair = order[position + b + _AHEAD]
            fetch(pair_users, pair)
            fetch(pair_items, pair)
        pair = order[position + b]
        u = pair_users[pair]
        x.users[b], x.positives[b] = u, pair_items[pair]
        x.following[b] = -1
        before = x.newest[u]
        x.leader[b] = b if before < 0 else x.leader[before]
        if before >= 0:
            x.following[before] = b
        x.newest[u] = b
    for b in range(size):
        x.newest[x.users[b]] = -1


@numba.njit(inline="always")
def _gather_lane(lane, items, x, clock, settings, now, size):
    """Sum the gradients of this lane's item rows, and of its share of the user rows; square their norms."""
    dim = items.vectors.shape[1]
    zero = np.float32(0)
    touched, gradient, along = x.touched[lane], x.item_gradient[lane], x.along[lane]
    # 1. this lane's item rows: the part along the queries, in the order of the batch
    count = 0
    for b in range(size):
        q = x.query[b]
        for k in range(x.active[b]):
            j = x.pair_item[b, k]
            if j & (LANES - 1) == lane:
                if x.place[j] < 0:
                    x.place[j] = count
                    touched[count], along[count] = j, zero
                    gradient[count, :] = zero
                    count += 1
                row = x.place[j]
                factor = x.slope[b, k] * x.inverse[b, k]
                add_scaled(gradient[row], factor, q)
                along[row] += factor * x.score[b, k] * x.inverse[b, k]
    # 2. minus what lies along the item's own vector
    total = 0.0
    for row in range(count):
        if row + 2 < count:
            fetch_row(items.moments, 3 * touched[row + 2] * dim, 3 * dim)
        j = touched[row]
        x.place[j] = -1
        bring_up(items, j, now, clock)
        g = gradient[row]
        if settings.cosine:
            add_scaled(g, -along[row], items.vectors[j])
        total += np.float64(dot(g, g))
    x.n_touched[lane] = count
    x.norm[size + lane] = total
    # 3. user rows: repeats of a user are added to their first row
    first, last = share(lane, LANES, size)
    for b in range(first, last):
        x.norm[b] = 0.0
        if x.leader[b] == b:
            g = x.user_gradient[b]
            follower = x.following[b]
            while follower >= 0:
                add_scaled(g, np.float32(1), x.user_gradient[follower])
                follower = x.following[follower]
            x.norm[b] = np.float64(dot(g, g))


@numba.njit(inline="always")
def _move_lane(lane, users, items, x, clock, settings, scale, now, k, size):
    """Move this lane's rows by one step of Adam with their clipped gradients."""
    touched, gradient = x.touched[lane], x.item_gradient[lane]
    count, dim = x.n_touched[lane], items.vectors.shape[1]
    for row in range(count):
        if row + 2 < count:
            fetch_row(items.vectors, touched[row + 2] * dim, dim)
            fetch_row(items.moments, 3 * touched[row + 2] * dim, 3 * dim)
        move_row(items, touched[row], gradient[row], scale, now, k, clock)
        if settings.screened:
            copy_row(touched[row], items, x, clock, settings, now)
    first, last = share(lane, LANES, size)
    for b in range(first, last):
        if b + 2 < last:
            fetch_row(users.vectors, x.users[b + 2] * dim, dim)
            fetch_row(users.moments, 3 * x.users[b + 2] * dim, 3 * dim)
        if x.leader[b] == b:
            add_scaled(users.vectors[x.users[b]], -x.lacking[b], users.moments[x.users[b], 2])
            move_row(users, x.users[b], x.user_gradient[b], scale, now, k, clock)


@numba.njit(**TOGETHER)
def run_steps(
    thread, threads, cells, users, items, pair_users, pair_items, order, position, stop, place, batch_size, now,
    clock, settings, anew, x,
):  # fmt: skip
    """Train on ``order[position:stop]``, one step per ``batch_size`` rows; return the sum of the rows' losses.

    ``place`` is the stream place of ``order[0]``; ``now`` the number of steps already taken; ``anew`` says that the
    copies of the items do not hold.
    """
    n_items, dim = items.vectors.shape
    if anew:
        for lane in range(thread, LANES, threads):
            copy_all(lane, items, x, clock, settings, now)
    total_loss = 0.0
    k = 0
    while position < stop:
        size = min(batch_size, stop - position)
        if thread == 0:
            _take_batch(x, pair_users, pair_items, order, position, size)
        if settings.screened:
            for lane in range(thread, LANES, threads):
                copy_listed(lane, items, x, clock, settings, now)
        meet(cells, thread, threads)
        # 1. score
        first, last = share(thread, threads, size)
        if first < last:
            draw(thread, first % 2, first, x, settings, n_items, place + position + first)
        for b in range(first, last):
            if b + 1 < last:
                turn = (b + 1) % 2
                draw(thread, turn, b + 1, x, settings, n_items, place + position + b + 1)
                fetch_start(thread, turn, b + 1, users, items, x, settings, dim)
            score_row(thread, b % 2, b, users, items, x, clock, settings, now, place + position + b, size)
        meet(cells, thread, threads)
        # 2. gather
        for lane in range(thread, LANES, threads):
            _gather_lane(lane, items, x, clock, settings, now, size)
        meet(cells, thread, threads)
        # 3. move
        scale = np.float32(1)
        if settings.clip_norm > 0:
            total = 0.0
            for b in range(size + LANES):
                total += x.norm[b]
            scale = np.float32(min(1.0, settings.clip_norm / (np.sqrt(total) + 1e-6)))
        for lane in range(thread, LANES, threads):
            _move_lane(lane, users, items, x, clock, settings, scale, now + 1, k, size)
        if thread == 0:  # the clock, which nobody reads now: R_T[k] = R_{T-1}[k-1] + r^k rate
            for idle in range(clock.horizon, 0, -1):
                clock.drift[idle] = clock.drift[idle - 1] + clock.power[idle] * clock.rate[k]
            if now + 1 - clock.horizon - clock.base >= 0:
                clock.tail[now + 1 - clock.horizon - clock.base] = clock.drift[clock.horizon]
            for b in range(size):
                total_loss += x.loss[b]
        meet(cells, thread, threads)
        now += 1
        position += size
        k += 1
    return total_loss
