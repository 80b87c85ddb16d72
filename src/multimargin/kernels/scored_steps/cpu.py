r"""The compiled form: a team of threads scores a batch and, given the slopes of the scores, moves the rows.

With a loss that kernels know (``rows``) many steps are one call. Else a step is two calls, and the loss between them.

score 1. prepare  the batch's users and queries; negatives drawn by place; pairs sorted by the block of their item
      2. visit    each touched item once: brought up to date, its norm; then the scores of its block's pairs
      3. pool     scores of the items that all rows share, a product of matrices
move  1. pool     its two other products
      2. gather   block by block: gradients of items, and their parts of the gradients of queries; squared norms
      3. rows     gradients of users: lanes added up, dropout, normalisation, repeats of a user; squared norms
      4. move     clip by the global norm, move touched rows with lazy Adam; what is not clipped moves at once

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
from multimargin.kernels.lazy_adam.cpu import pass_step
from multimargin.kernels.products import add_product
from multimargin.kernels.rows import add_scaled
from multimargin.kernels.scored_steps.items import (
    count_pairs,
    gather_lanes,
    move_lanes,
    sort_pairs,
    visit_lanes,
)
from multimargin.kernels.scored_steps.records import LANES, Shape
from multimargin.kernels.scored_steps.rows import positive_of, row_loss
from multimargin.kernels.team import STRIDE, TOGETHER, meet, share
from multimargin.kernels.uniform_draws.cpu import draw_row
from multimargin.kernels.user_rows import (
    ROWS_AHEAD,
    add_repeats,
    chain,
    fetch_idle,
    form_query,
    move_users,
    through_query,
)


@numba.njit(**STRIDE)
def prepare_queries(first, last, users, x, clock, settings, now):
    """Fill in the queries of rows ``first`` to ``last``."""
    for b in range(first, last):
        if b + ROWS_AHEAD < last:
            fetch_idle(users, x.users[b + ROWS_AHEAD])
        form_query(b, x.users[b], x.dropout_place[b], users, x, clock, settings, now)


@numba.njit(**STRIDE)
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


@numba.njit(**STRIDE)
def spread_pool(thread, threads, shape, x, upstream):
    """Multiply the slopes of the pool's scores with its vectors and with the queries."""
    width, tile = x.query.shape[1], x.tiles[thread]
    first, last = share(thread, threads, shape.rows)
    x.user_gradient[first:last, :] = np.float32(0)
    if shape.pool:
        stride = upstream.shape[1]
        add_product(first, last, upstream, stride, 1, x.pool_unit, shape.pool, width, tile, x.user_gradient)
        first, last = share(thread, threads, shape.pool)
        x.pool_gradient[first:last, :] = np.float32(0)
        add_product(first, last, upstream, 1, stride, x.query, shape.rows, width, tile, x.pool_gradient)


@numba.njit(**STRIDE)
def finish_users(first, last, x, settings):
    """Add up the lanes' parts of the gradients of queries ``first`` to ``last``, and lead them to the users' rows."""
    for b in range(first, last):
        for lane in range(LANES):
            add_scaled(x.user_gradient[b], np.float32(1), x.lane_gradient[lane, b])
        through_query(b, x, settings)


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
def _prepare(thread, threads, cells, who, place, users, n_items, clock, settings, shape, draws, x, now):
    """Form the queries of a batch of users ``who``, and sort its pairs."""
    if thread == 0:
        chain(who, x)
    first, last = share(thread, threads, shape.rows)
    count_pairs(thread, threads, first, last, place, n_items, shape, draws, x, settings)
    prepare_queries(first, last, users, x, clock, settings, now)
    meet(cells, thread, threads)
    sort_pairs(thread, threads, first, last, shape, x)
    meet(cells, thread, threads)


@numba.njit(**STRIDE)
def _move_rows(first, last, users, x, scale, now, k, clock):
    move_users(first, last, x.users, users, x, scale, now, k, clock)


@numba.njit(inline="always")
def _score(
    thread, threads, cells, users, items, who, place, now, clock, settings, shape, draws, x, scores, pool_scores
):  # fmt: skip
    _prepare(thread, threads, cells, who, place, users, items.vectors.shape[0], clock, settings, shape, draws, x, now)
    first, last = share(thread, threads, LANES)
    visit_lanes(first, last, items, x, clock, settings, now, scores)
    if shape.pool:
        meet(cells, thread, threads)
        score_pool(thread, threads, shape, items.vectors.shape[1], x, pool_scores)


@numba.njit(inline="always")
def _move(
    thread, threads, cells, users, items, now, k, clock, settings, shape, x, upstream, pool_upstream, more
):  # fmt: skip
    # 1. pool
    spread_pool(thread, threads, shape, x, pool_upstream)
    meet(cells, thread, threads)
    # 2. gather
    clips = settings.clip_norm > 0
    first, last = share(thread, threads, LANES)
    gather_lanes(first, last, items, x, clock, settings, shape.rows, upstream, now, k)
    meet(cells, thread, threads)
    # 3. rows
    first_row, last_row = share(thread, threads, shape.rows)
    finish_users(first_row, last_row, x, settings)
    meet(cells, thread, threads)
    for b in range(first_row, last_row):
        x.user_norm[b] = add_repeats(b, x)
    # 4. move
    scale = np.float32(1)
    if clips:
        meet(cells, thread, threads)
        scale = clip(shape.rows, x, settings, more)
        move_lanes(first, last, items, x, clock, scale, now, k)
    if thread == 0:
        x.scale[0] = scale
    _move_rows(first_row, last_row, users, x, scale, now, k, clock)


@numba.njit(**TOGETHER)
def score_step(
    thread, threads, cells, users, items, place, now, clock, settings, shape, draws, x, scores, pool_scores
):  # fmt: skip
    """Fill ``scores`` (F,) and ``pool_scores`` (B, P); ``draws`` says that negatives are drawn here, from ``place``."""
    _score(
        thread, threads, cells, users, items, x.users[: shape.rows], place, now, clock, settings, shape, draws, x,
        scores, pool_scores,
    )  # fmt: skip


@numba.njit(**TOGETHER)
def move_step(
    thread, threads, cells, users, items, now, clock, settings, shape, x, upstream, pool_upstream, more
):  # fmt: skip
    """Take step ``now`` with the slopes (F,) and (B, P) of the scores; ``more`` as in ``clip``."""
    _move(thread, threads, cells, users, items, now, 0, clock, settings, shape, x, upstream, pool_upstream, more)


@numba.njit(**STRIDE)
def _lose(first, last, thread, shape, loss, x, scores, slopes):
    """Fill in what rows ``first`` to ``last`` cost, and the slopes of their scores."""
    per_row, n = np.float32(1) / np.float32(shape.rows), shape.negatives
    cost, room = x.cost[thread], x.tiles[thread, 0]
    for b in range(first, last):
        positive, share_of_it = positive_of(b, scores, loss, x)
        if shape.pool:
            own, into = x.pool_score[b, : shape.pool], x.pool_slope[b, : shape.pool]
        else:
            start = shape.rows + b * n
            own, into = scores[start : start + n], slopes[start : start + n]
        x.loss[b], slope = row_loss(positive, own, loss, per_row, into, cost, room)
        slopes[b] = slope * share_of_it


@numba.njit(**TOGETHER)
def run_steps(
    thread, threads, cells, users, items, batch_users, batch_items, batch_size, n_own, n_pool, place, now, clock,
    settings, loss, x,
):  # fmt: skip
    """Train on the given interactions, one step per ``batch_size``; add the losses of their rows to ``total``.

    Negatives are drawn here, ``n_own`` for each row or ``n_pool`` for all of a batch. ``place`` is where the first row
    stands in the streams; ``now`` the number of steps already taken.
    """
    n = len(batch_users)
    for k, start in enumerate(range(0, n, batch_size)):
        shape = Shape(min(batch_size, n - start), 0, n_own, n_pool)
        scores, slopes = x.score[: shape.rows * (1 + n_own)], x.slope[: shape.rows * (1 + n_own)]
        # 1. take
        first, last = share(thread, threads, shape.rows)
        for b in range(first, last):
            x.users[b], x.item[b] = batch_users[start + b], batch_items[start + b]
            x.dropout_place[b] = place + start + b
        if thread == threads - 1:  # who sorts the pool
            nothing = settings.seen_indices[:0]
            draw_row(settings.negatives_key, np.uint64(place + start), items.vectors.shape[0], nothing, x.pool[:n_pool])
        # 2. score
        _score(
            thread, threads, cells, users, items, batch_users[start : start + shape.rows], place + start, now, clock,
            settings, shape, True, x, scores, x.pool_score,
        )  # fmt: skip
        meet(cells, thread, threads)
        # 3. the loss
        _lose(first, last, thread, shape, loss, x, scores, slopes)
        meet(cells, thread, threads)
        # 4. move
        _move(
            thread, threads, cells, users, items, now + 1, k, clock, settings, shape, x, slopes, x.pool_slope, 0.0
        )  # fmt: skip
        if thread == 0:
            pass_step(clock, now, k)  # nobody reads the drift now
            for b in range(shape.rows):
                x.total[0] += x.loss[b]
        meet(cells, thread, threads)
        now += 1
