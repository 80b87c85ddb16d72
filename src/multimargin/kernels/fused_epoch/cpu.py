"""The compiled form: per step five parallel regions, each row of each table written by one owner.

1. ``_prepare``   draw negatives by place; bring the batch's users (and, if most items are drawn, all items) up to date
2. ``_catch_up``  else only the items drawn
3. ``_score``     scores, loss, the gradient of each user's row; keep the pairs above the smallest margin
4. ``_gather``    sum their gradients per item row and per user row, in the order of the batch; squared norms
5. ``_update``    clip by the global norm, move touched rows with lazy Adam

Pairs at or below the smallest margin have a gradient of exactly 0 and cost one dot product. The algebra is that of
``sampled_scores/cpu.py`` and ``lazy_adam/schedule.py``. Sums that cross rows are taken in a fixed order over a fixed number
of lanes, so no result depends on the number of threads. A region's body is a function of its own, because numba drops a
parallel loop that writes only to fields of a tuple. Memory: O(B (N + D)), and (I, D) address space of which only the
pages of touched rows are ever used.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

from multimargin.kernels.draws import keep_scale
from multimargin.kernels.lazy_adam.cpu import catch_up_range, update_range
from multimargin.kernels.rows import FAST, add_scaled, dot, through_normalisation
from multimargin.kernels.uniform_draws.cpu import uniform_row

LANES = 8  # fixed, whatever the number of threads: it fixes the order of sums


class Table(NamedTuple):
    """A table, its lazy Adam state and, for items, the inverse norm of every row (1 for dot products)."""

    vectors: Any  # (R, D)
    first: Any  # (R, D)
    second: Any  # (R, D)
    direction: Any  # (R, D)
    last: Any  # (R,) int32
    applied: Any  # (R,)
    inverse: Any  # (R,)


class Clock(NamedTuple):
    """The drift sums at the start of the call (updated in place) and the constants of each step in it."""

    base: int
    horizon: int
    power: Any  # (horizon+1,)
    drift: Any  # (horizon+1,)
    tail: Any
    rate: Any  # (steps,)
    eps_now: Any
    eps_idle: Any


class Settings(NamedTuple):
    """What does not change during a call."""

    n_negatives: int
    cosine: bool
    pos_slope: np.float32
    margins: Any  # (M,) float32
    slopes: Any  # (M,) float32
    dropout: np.float32
    clip_norm: float  # 0: no clipping
    weight_decay: np.float32
    beta1: float
    beta2: float
    negatives_key: np.uint64
    dropout_key: np.uint64
    seen_indptr: Any  # (U+1,), or (0,) to draw from all items
    seen_indices: Any


class Scratch(NamedTuple):
    """What one step leaves for the next region."""

    users: Any  # (B,) user of each row
    positives: Any  # (B,)
    leader: Any  # (B,) first row of the batch with the same user
    following: Any  # (B,) next row with the same user, -1 at the end
    negatives: Any  # (B, N)
    query: Any  # (B, D)
    user_gradient: Any  # (B, D)
    active: Any  # (B,) how many pairs of the row have a gradient; the pairs:
    pair_item: Any  # (B, 1+N)
    pair_slope: Any  # (B, 1+N) dL/ds
    pair_score: Any  # (B, 1+N)
    loss: Any  # (B,)
    norm: Any  # (B + LANES,) squared norms
    place: Any  # (I,) a touched item's place in its lane, else -1
    touched: Any  # (LANES, ceil(I / LANES)) items
    n_touched: Any  # (LANES,)
    item_gradient: Any  # (LANES, ceil(I / LANES), D)
    along: Any  # (LANES, ceil(I / LANES))


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


@numba.njit(cache=True)
def _drop(row, place, settings):
    """Multiply ``row`` by the dropout factors of its place."""
    if settings.dropout > np.float32(0):
        start = np.uint64(place) * np.uint64(row.shape[0])
        for d in range(row.shape[0]):
            row[d] *= keep_scale(settings.dropout_key, start + np.uint64(d), settings.dropout)


@numba.njit(cache=True, fastmath=FAST)
def above(query, items, inverse, drawn, lowest, out_item, out_score, count):
    """Append the items of ``drawn`` that score above ``lowest``, with their scores, at ``count``; return the new count.

    Four at a time: their rows are fetched from cache together.
    """
    n, dim = len(drawn), query.shape[0]
    whole = n - n % 4
    for k in range(0, whole, 4):
        j0, j1, j2, j3 = np.uint64(drawn[k]), np.uint64(drawn[k + 1]), np.uint64(drawn[k + 2]), np.uint64(drawn[k + 3])
        v0, v1, v2, v3 = items[j0], items[j1], items[j2], items[j3]
        s0, s1, s2, s3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for d in range(dim):
            q = query[d]
            s0 += q * v0[d]
            s1 += q * v1[d]
            s2 += q * v2[d]
            s3 += q * v3[d]
        s0, s1, s2, s3 = s0 * inverse[j0], s1 * inverse[j1], s2 * inverse[j2], s3 * inverse[j3]
        if s0 > lowest or s1 > lowest or s2 > lowest or s3 > lowest:
            for j, s in ((j0, s0), (j1, s1), (j2, s2), (j3, s3)):
                if s > lowest:
                    out_item[count], out_score[count] = j, s
                    count += 1
    for k in range(whole, n):
        j = np.uint64(drawn[k])
        s = dot(query, items[j]) * inverse[j]
        if s > lowest:
            out_item[count], out_score[count] = j, s
            count += 1
    return count


@numba.njit(cache=True)
def _score_row(b, user_table, item_table, x, settings, place, size):
    n = settings.n_negatives
    items, inverse = item_table.vectors, item_table.inverse
    margins, slopes = settings.margins, settings.slopes
    pair_item, pair_score, pair_slope = x.pair_item[b], x.pair_score[b], x.pair_slope[b]
    one = np.float32(1)
    # 1. the query: normalised, then dropped out
    u, r, q = user_table.vectors[x.users[b]], user_table.inverse[x.users[b]], x.query[b]
    q[:] = np.float32(0)
    add_scaled(q, r, u)
    _drop(q, place + b, settings)
    # 2. the positive: pull up to 1
    positive = x.positives[b]
    score = dot(q, items[positive]) * inverse[positive]
    first, loss = 0, 0.0
    if score < one and settings.pos_slope > np.float32(0):
        loss = np.float64(settings.pos_slope * (one - score))
        pair_item[0], pair_score[0], pair_slope[0] = positive, score, -settings.pos_slope / np.float32(size)
        first = 1
    # 3. the negatives: only those above the smallest margin are kept
    count = above(q, items, inverse, x.negatives[b], margins[0], pair_item, pair_score, first)
    per_pair = one / np.float32(n * size)
    hinge = 0.0
    for k in range(first, count):
        slope = np.float32(0)
        for m in range(len(margins)):
            if pair_score[k] > margins[m]:
                slope += slopes[m]
                hinge += np.float64(slopes[m] * (pair_score[k] - margins[m]))
        pair_slope[k] = slope * per_pair
    x.active[b] = count
    x.loss[b] = loss + hinge / n
    # 4. the gradient of the user's row: q's, through dropout and normalisation
    g = x.user_gradient[b]
    g[:] = np.float32(0)
    for k in range(count):
        add_scaled(g, pair_slope[k] * inverse[pair_item[k]], items[pair_item[k]])
    _drop(g, place + b, settings)
    if settings.cosine:
        through_normalisation(g, u, r)


@numba.njit(cache=True, parallel=True)
def _score(user_table, item_table, x, settings, place, size):
    for b in numba.prange(size):
        _score_row(b, user_table, item_table, x, settings, place, size)


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
    """Sum the gradients of this lane's items, in the order of the batch; return how many rows and their squared norm."""
    # 1. the part along the queries
    count = 0
    for b in range(size):
        q = query[b]
        for k in range(active[b]):
            j = np.int64(pair_item[b, k])
            if j % LANES == lane:
                row = np.int64(place[j])
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
        j = np.int64(touched[row])
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
        t.vectors, t.first, t.second, t.direction, t.last, t.applied, t.inverse, settings.cosine, rows, wanted, gradients,
        start, stop, scale, step, clock.rate[k], clock.eps_now[k], clock.eps_idle[k], settings.beta1, settings.beta2,
        settings.weight_decay,
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
    depth = (n_items + LANES - 1) // LANES
    x = Scratch(
        np.empty(batch_size, np.int64), np.empty(batch_size, np.int64), np.empty(batch_size, np.int64),
        np.empty(batch_size, np.int64), np.empty((batch_size, n), np.int32), np.empty((batch_size, dim), np.float32),
        np.empty((batch_size, dim), np.float32), np.empty(batch_size, np.int64), np.empty((batch_size, n + 1), np.int32),
        np.empty((batch_size, n + 1), np.float32), np.empty((batch_size, n + 1), np.float32),
        np.empty(batch_size, np.float64), np.empty(batch_size + LANES, np.float64), np.full(n_items, -1, np.int32),
        np.empty((LANES, depth), np.int32), np.zeros(LANES, np.int64), np.empty((LANES, depth, dim), np.float32),
        np.empty((LANES, depth), np.float32),
    )  # fmt: skip
    newest = np.full(user_table.vectors.shape[0], -1, np.int64)  # the last row of the batch with this user
    sweep = 2 * batch_size * n > n_items
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
