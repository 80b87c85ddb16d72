r"""The compiled form: a team of threads scores a batch and, given the slopes of the scores, moves the rows.

With a loss that kernels know (``rows``) many steps are one call. Else a step is two calls, and the loss between them.

score 1. take     the batch's users; negatives drawn by place; pairs listed by the lane of their item; queries
      2. visit    each touched item once: brought up to date, its norm, the scores of its pairs
      3. pool     scores of the items that all rows share, a product of matrices
move  1. pool     its two other products
      2. gather   each touched item once more: its gradient, and its part of the gradients of its queries; squared norms
      3. rows     gradients of users: lanes added up, dropout, normalisation, repeats of a user; squared norms
      4. move     clip by the global norm, move touched rows with lazy Adam

With v an item, r = 1/|v| (cosine) or 1, q_b the queries, g_b = dL/ds of its pairs and G = \sum_b g_b q_b:

    s_b = r q_b . v,    dL/dq_b += g_b r v,    dL/dv = r (G - (G . r v) r v)      [dot: G]

With distinct negatives a batch touches a large part of the catalogue, so that reading and moving items' rows is most of
the work: an item is read once for all of its pairs, while queries stay in the cache. Pairs whose slope is exactly 0 are
left out, items without any other do not move. Sums that cross rows have one owner and one order (lanes do not depend on
threads), so no result does. Memory: O(B (N + D) + touched rows D).
"""

import numba
import numpy as np

from multimargin.kernels.intrinsics import TILE_LANES, TILE_ROWS, multiply_tile
from multimargin.kernels.lazy_adam.cpu import move_row, pass_step
from multimargin.kernels.products import add_product
from multimargin.kernels.rows import add_scaled, dot, fetch_row
from multimargin.kernels.scored_steps.items import gather_lane, list_pairs, move_lane, visit_lane
from multimargin.kernels.scored_steps.records import LANES, Shape
from multimargin.kernels.scored_steps.rows import row_loss
from multimargin.kernels.team import TOGETHER, meet, share
from multimargin.kernels.user_rows import ROWS_AHEAD, chain, fetch_idle, form_query


@numba.njit(inline="always")
def prepare_queries(first, last, users, x, clock, settings, now):
    """Fill in the queries of rows ``first`` to ``last``."""
    for b in range(first, last):
        if b + ROWS_AHEAD < last:
            fetch_idle(users, x.users[b + ROWS_AHEAD])
        form_query(b, x.users[b], x.dropout_place[b], users, x, clock, settings, now)


@numba.njit(inline="always")
def score_pool(thread, threads, shape, dim, x, scores):
    """Fill ``scores`` (B, P); a panel of the pool stays in the cache."""
    tile, width = x.tiles[thread], x.query.shape[1]
    first, last = share(thread, threads, (shape.pool + TILE_LANES - 1) // TILE_LANES)
    for panel in range(first, last):
        start = panel * TILE_LANES
        lanes = min(TILE_LANES, shape.pool - start)
        for b in range(0, shape.rows, TILE_ROWS):
            rows = min(TILE_ROWS, shape.rows - b)
            multiply_tile(x.query, b * width, width, 1, rows, x.pool_panels, start * dim, TILE_LANES, dim, tile)  # type: ignore[call-arg]
            for r in range(rows):  # type: ignore[unreachable]
                for lane in range(lanes):
                    scores[b + r, start + lane] = tile[r, lane]


@numba.njit(inline="always")
def spread_pool(thread, threads, shape, x, upstream):
    """Multiply the slopes of the pool's scores with its vectors and with the queries."""
    width, tile = x.query.shape[1], x.tiles[thread]
    first, last = share(thread, threads, shape.rows)
    x.user_gradient[first:last, :] = np.float32(0)
    if shape.pool:
        add_product(first, last, upstream, shape.pool, 1, x.pool_unit, shape.pool, width, tile, x.user_gradient)
        first, last = share(thread, threads, shape.pool)
        x.pool_gradient[first:last, :] = np.float32(0)
        add_product(first, last, upstream, 1, shape.pool, x.query, shape.rows, width, tile, x.pool_gradient)


@numba.njit(inline="always")
def _finish_row(b, dim, x, settings):
    """Lead the gradient of a query through dropout and normalisation."""
    g, unit, keep = x.user_gradient[b], x.unit[b], x.keep[b]
    for lane in range(LANES):
        add_scaled(g, np.float32(1), x.lane_gradient[lane, b])
    for d in range(dim):
        g[d] *= keep[d]
    if settings.cosine:
        along = np.float32(0)
        for d in range(dim):
            along += g[d] * unit[d]
        for d in range(dim):
            g[d] = (g[d] - along * unit[d]) * x.user_inverse[b]


@numba.njit(inline="always")
def finish_users(first, last, dim, x, settings):
    """Finish the rows whose user first occurs in rows ``first`` to ``last``; repeats are added to the first."""
    for b in range(first, last):
        x.user_norm[b] = 0.0
        if x.leader[b] == b:
            g, follower = x.user_gradient[b], x.following[b]
            _finish_row(b, dim, x, settings)
            while follower >= 0:
                _finish_row(follower, dim, x, settings)
                add_scaled(g, np.float32(1), x.user_gradient[follower])
                follower = x.following[follower]
            x.user_norm[b] = np.float64(dot(g, g))


@numba.njit(inline="always")
def clip(rows, x, settings, more):
    """Return by what gradients are multiplied; ``more`` is the squared norm of those of others."""
    scale = np.float32(1)
    if settings.clip_norm > 0:
        total = more
        for b in range(rows):
            total += x.user_norm[b]
        for lane in range(LANES):
            total += x.item_norm[lane]
        scale = np.float32(min(1.0, settings.clip_norm / (np.sqrt(total) + 1e-6)))
    return scale


@numba.njit(inline="always")
def move_users(first, last, users, x, clock, scale, now, k):
    """Move the rows of users that first occur in rows ``first`` to ``last`` of the batch."""
    dim = users.vectors.shape[1]
    for b in range(first, last):
        if b + 2 < last:
            fetch_row(users.vectors, x.users[b + 2] * dim, dim)
            fetch_row(users.moments, 3 * x.users[b + 2] * dim, 3 * dim)
        if x.leader[b] == b:
            add_scaled(users.vectors[x.users[b]], -x.lacking[b], users.moments[x.users[b], 2])
            move_row(users, x.users[b], x.user_gradient[b], scale, now, k, clock)


@numba.njit(inline="always")
def _gather(thread, threads, cells, items, settings, shape, x, upstream):
    """Sum the gradients of items and users, given the slopes of pairs with items of their own; square their norms."""
    first, last = share(thread, threads, LANES)
    for lane in range(first, last):
        gather_lane(lane, items, x, settings, shape, upstream)
    meet(cells, thread, threads)
    first, last = share(thread, threads, shape.rows)
    finish_users(first, last, items.vectors.shape[1], x, settings)
    meet(cells, thread, threads)


@numba.njit(inline="always")
def _move(thread, threads, users, items, clock, settings, shape, x, now, k, more):
    """Clip, and move this thread's rows."""
    scale = clip(shape.rows, x, settings, more)
    if thread == 0:
        x.scale[0] = scale
    first, last = share(thread, threads, LANES)
    for lane in range(first, last):
        move_lane(lane, items, x, clock, scale, now, k)
    first, last = share(thread, threads, shape.rows)
    move_users(first, last, users, x, clock, scale, now, k)


@numba.njit(**TOGETHER)
def score_step(
    thread, threads, cells, users, items, place, now, clock, settings, shape, draws, x, scores, pool_scores
):  # fmt: skip
    """Fill ``scores`` (F,) and ``pool_scores`` (B, P); ``draws`` says that negatives are drawn here, from ``place``."""
    dim = items.vectors.shape[1]
    # 1. take
    if thread == 0:
        chain(x.users[: shape.rows], x)
    first, last = share(thread, threads, shape.rows)
    list_pairs(thread, first, last, place, items.vectors.shape[0], shape, draws, x, settings)
    prepare_queries(first, last, users, x, clock, settings, now)
    meet(cells, thread, threads)
    # 2. visit
    first, last = share(thread, threads, LANES)
    for lane in range(first, last):
        visit_lane(lane, threads, items, x, clock, settings, now, shape, scores)
    if shape.pool:
        meet(cells, thread, threads)
        # 3. pool
        score_pool(thread, threads, shape, dim, x, pool_scores)


@numba.njit(**TOGETHER)
def move_step(
    thread, threads, cells, users, items, now, clock, settings, shape, x, upstream, pool_upstream, more
):  # fmt: skip
    """Take step ``now`` with the slopes (F,) and (B, P) of the scores; ``more`` as in ``clip``."""
    # 1. pool
    spread_pool(thread, threads, shape, x, pool_upstream)
    meet(cells, thread, threads)
    # 2. gather, 3. rows
    _gather(thread, threads, cells, items, settings, shape, x, upstream)
    # 4. move
    _move(thread, threads, users, items, clock, settings, shape, x, now, 0, more)


@numba.njit(**TOGETHER)
def run_steps(
    thread, threads, cells, users, items, batch_users, batch_items, batch_size, n_negatives, place, now, clock,
    settings, loss, x,
):  # fmt: skip
    """Train on the given interactions, one step per ``batch_size``; add the losses of their rows to ``total``.

    ``place`` is where the first stands in the streams; ``now`` the number of steps already taken.
    """
    n_items, n = items.vectors.shape[0], len(batch_users)
    for k, start in enumerate(range(0, n, batch_size)):
        size = min(batch_size, n - start)
        shape = Shape(size, 0, n_negatives, 0)
        scores, slopes = x.score[: size * (1 + n_negatives)], x.slope[: size * (1 + n_negatives)]
        # 1. take
        if thread == 0:
            chain(batch_users[start : start + size], x)
        first, last = share(thread, threads, size)
        for b in range(first, last):
            x.users[b], x.item[b], x.dropout_place[b] = (
                batch_users[start + b],
                batch_items[start + b],
                place + start + b,
            )
            x.user_gradient[b, :] = np.float32(0)
        list_pairs(thread, first, last, place + start, n_items, shape, True, x, settings)
        prepare_queries(first, last, users, x, clock, settings, now)
        meet(cells, thread, threads)
        # 2. visit
        first_lane, last_lane = share(thread, threads, LANES)
        for lane in range(first_lane, last_lane):
            visit_lane(lane, threads, items, x, clock, settings, now, shape, scores)
        meet(cells, thread, threads)
        # 3. the loss
        per_row = np.float32(1) / np.float32(size)
        for b in range(first, last):
            own, end = size + b * n_negatives, size + (b + 1) * n_negatives
            x.loss[b], slopes[b] = row_loss(
                scores[b], scores[own:end], loss, per_row, slopes[own:end], x.cost[thread], x.tiles[thread, 0]
            )
        meet(cells, thread, threads)
        # 4. gather, rows, move
        _gather(thread, threads, cells, items, settings, shape, x, slopes)
        _move(thread, threads, users, items, clock, settings, shape, x, now + 1, k, 0.0)
        if thread == 0:
            pass_step(clock, now, k)  # nobody reads the drift now
            for b in range(size):
                x.total[0] += x.loss[b]
        meet(cells, thread, threads)
        now += 1
