"""The compiled form: per step five parallel regions, each row of each table written by one owner.

1. ``_prepare``   draw negatives by place; bring the batch's users (and, if most items are drawn, all items) up to date
2. ``_catch_up``  else only the items drawn
3. ``_score``     scores, loss, the gradient of each user's row; keep the pairs above the smallest margin
4. ``_gather``    sum their gradients per item row and per user row, in the order of the batch; squared norms
5. ``_update``    clip by the global norm, move touched rows with lazy Adam

Pairs at or below the smallest margin have a gradient of exactly 0 and cost one dot product. The algebra is that of
``sampled_scores/cpu.py`` and ``lazy_adam/schedule.py``. Sums that cross rows are taken in a fixed order over a fixed
number of lanes, so no result depends on the number of threads. A region's body is a function of its own, because numba
drops a parallel loop that writes only to fields of a tuple. Memory: O(B (N + D)), and (I, D) address space of which
only the pages of touched rows are ever used.
"""

import numba
import numpy as np

from multimargin.kernels.fused_epoch.records import LANES, new_scratch
from multimargin.kernels.fused_epoch.scoring import score_row
from multimargin.kernels.lazy_adam.cpu import catch_up_range, update_range
from multimargin.kernels.rows import FAST, add_scaled, dot
from multimargin.kernels.uniform_draws.cpu import uniform_row


@numba.njit(cache=True)
def _bring_up(t, rows, start, stop, lane, lanes, now, clock, cosine):
    catch_up_range(
        t.vectors, t.direction, t.last, t.applied, t.inverse, cosine, rows, start, stop, lane, lanes,
        now, clock.base, clock.horizon, clock.drift, clock.tail,
    )  # fmt: skip


@numba.njit(cache=True)
def _prepare_row(b, user_table, item_table, x, clock, settings, now, place, size, sweep):
    n_items = item_table.vectors.shape[0]
    # 1. this row's negatives, by their places in the stream
    u = x.users[b]
    seen = settings.seen_indices[:0]
    if len(settings.seen_indptr):
        seen = settings.seen_indices[settings.seen_indptr[u] : settings.seen_indptr[u + 1]]
    uniform_row(settings.negatives_key, np.uint64(place + b), n_items, seen, x.negatives[b])
    # 2. its user, and its share of all items
    if x.leader[b] == b:
        _bring_up(user_table, x.users, b, b + 1, 0, 1, now, clock, settings.cosine)
    if sweep:
        first, last = b * n_items // size, (b + 1) * n_items // size
        _bring_up(item_table, x.users[:0], first, last, 0, 1, now, clock, settings.cosine)


@numba.njit(cache=True, parallel=True)
def _prepare(user_table, item_table, x, clock, settings, now, place, size, sweep):
    for b in numba.prange(size):
        _prepare_row(b, user_table, item_table, x, clock, settings, now, place, size, sweep)


@numba.njit(cache=True)
def _catch_up_lane(lane, item_table, x, clock, settings, now, size, lanes):
    _bring_up(item_table, x.positives, 0, size, lane, lanes, now, clock, settings.cosine)
    drawn = x.negatives[:size].ravel()
    _bring_up(item_table, drawn, 0, len(drawn), lane, lanes, now, clock, settings.cosine)


@numba.njit(cache=True, parallel=True)
def _catch_up(item_table, x, clock, settings, now, size, lanes):
    for lane in numba.prange(lanes):
        _catch_up_lane(lane, item_table, x, clock, settings, now, size, lanes)


@numba.njit(cache=True, parallel=True)
def _score(user_table, item_table, x, settings, place, size):
    for b in numba.prange(size):
        score_row(b, user_table, item_table, x, settings, place, size)


@numba.njit(cache=True, fastmath=FAST)
def sum_rows(
    lane,
    size,
    active,
    pair_item,
    pair_slope,
    pair_score,
    query,
    inverse,
    vectors,
    cosine,
    place,
    touched,
    gradient,
    along,
):
    """Sum the gradients of this lane's items in the order of the batch; return how many rows, their squared norm."""
    # 1. the part along the queries
    count = 0
    for b in range(size):
        q = query[b]
        for k in range(active[b]):
            j = int(pair_item[b, k])
            if j % LANES == lane:
                row = int(place[j])
                if row < 0:
                    row = count
                    place[j] = row
                    touched[row], along[row] = j, np.float32(0)
                    gradient[row, :] = np.float32(0)
                    count += 1
                factor = pair_slope[b, k] * inverse[j]
                g = gradient[row]
                for d in range(q.shape[0]):
                    g[d] += factor * q[d]
                along[row] += factor * pair_score[b, k] * inverse[j]
    # 2. minus what lies along the item's own vector
    total = 0.0
    for row in range(count):
        j = int(touched[row])
        place[j] = -1
        g, v = gradient[row], vectors[j]
        off = along[row] if cosine else np.float32(0)
        square = np.float32(0)
        for d in range(g.shape[0]):
            value = g[d] - off * v[d]
            g[d] = value
            square += value * value
        total += np.float64(square)
    return count, total


@numba.njit(cache=True)
def _gather_lane(lane, item_table, x, settings, size):
    # 1. this lane's item rows
    x.n_touched[lane], x.norm[size + lane] = sum_rows(
        lane, size, x.active, x.pair_item, x.pair_slope, x.pair_score, x.query, item_table.inverse, item_table.vectors,
        settings.cosine, x.place, x.touched[lane], x.item_gradient[lane], x.along[lane],
    )  # fmt: skip
    # 2. this lane's share of user rows: repeats of a user are added to their first row
    for b in range(lane * size // LANES, (lane + 1) * size // LANES):
        x.norm[b] = 0.0
        if x.leader[b] == b:
            follower = x.following[b]
            while follower >= 0:
                add_scaled(x.user_gradient[b], np.float32(1), x.user_gradient[follower])
                follower = x.following[follower]
            x.norm[b] = np.float64(dot(x.user_gradient[b], x.user_gradient[b]))


@numba.njit(cache=True, parallel=True)
def _gather(item_table, x, settings, size):
    for lane in numba.prange(LANES):
        _gather_lane(lane, item_table, x, settings, size)


@numba.njit(cache=True)
def _move(t, rows, wanted, gradients, start, stop, scale, step, k, clock, settings):
    update_range(
        t.vectors, t.first, t.second, t.direction, t.last, t.applied, t.inverse, settings.cosine, rows, wanted,
        gradients, start, stop, scale, step, clock.rate[k], clock.eps_now[k], clock.eps_idle[k], settings.beta1,
        settings.beta2, settings.weight_decay,
    )  # fmt: skip


@numba.njit(cache=True)
def _update_lane(lane, user_table, item_table, x, clock, settings, scale, step, k, size):
    count = x.n_touched[lane]
    _move(item_table, x.touched[lane], x.leader[:0], x.item_gradient[lane], 0, count, scale, step, k, clock, settings)
    start, stop = lane * size // LANES, (lane + 1) * size // LANES
    _move(user_table, x.users, x.leader, x.user_gradient, start, stop, scale, step, k, clock, settings)


@numba.njit(cache=True, parallel=True)
def _update(user_table, item_table, x, clock, settings, scale, step, k, size):
    for lane in numba.prange(LANES):
        _update_lane(lane, user_table, item_table, x, clock, settings, scale, step, k, size)


@numba.njit(cache=True)
def run_steps(
    user_table,
    item_table,
    pair_users,
    pair_items,
    order,
    position,
    stop,
    place,
    batch_size,
    step,
    clock,
    settings,
    lanes,
):
    """Train on ``order[position:stop]``, one step per ``batch_size`` rows; return the sum of the rows' losses.

    ``place`` is the stream place of ``order[0]``; ``step`` the number of steps already taken.
    """
    n, n_items, dim = settings.n_negatives, item_table.vectors.shape[0], item_table.vectors.shape[1]
    x = new_scratch(batch_size, n, n_items, dim)
    newest = np.full(user_table.vectors.shape[0], -1, np.int64)  # the last row of the batch with this user
    sweep = 4 * batch_size * n > n_items  # one pass in order beats rows at random long before it touches fewer
    loss = 0.0
    k = 0
    while position < stop:
        size = min(batch_size, stop - position)
        # 1. the batch; rows of one user are chained
        for b in range(size):
            pair = order[position + b]
            u = pair_users[pair]
            x.users[b], x.positives[b] = u, pair_items[pair]
            x.following[b] = -1
            before = newest[u]
            x.leader[b] = b if before < 0 else x.leader[before]
            if before >= 0:
                x.following[before] = b
            newest[u] = b
        for b in range(size):
            newest[x.users[b]] = -1
        # 2. the regions
        _prepare(user_table, item_table, x, clock, settings, step, place + position, size, sweep)
        if not sweep:
            _catch_up(item_table, x, clock, settings, step, size, lanes)
        _score(user_table, item_table, x, settings, place + position, size)
        _gather(item_table, x, settings, size)
        # 3. clip by the global norm
        scale = np.float32(1)
        if settings.clip_norm > 0:
            total = 0.0
            for b in range(size + LANES):
                total += x.norm[b]
            scale = np.float32(min(1.0, settings.clip_norm / (np.sqrt(total) + 1e-6)))
        step += 1
        _update(user_table, item_table, x, clock, settings, scale, step, k, size)
        # 4. the clock: R_T[k] = R_{T-1}[k-1] + r^k rate
        for idle in range(clock.horizon, 0, -1):
            clock.drift[idle] = clock.drift[idle - 1] + clock.power[idle] * clock.rate[k]
        if step - clock.horizon - clock.base >= 0:
            clock.tail[step - clock.horizon - clock.base] = clock.drift[clock.horizon]
        for b in range(size):
            loss += x.loss[b]
        position += size
        k += 1
    return loss
