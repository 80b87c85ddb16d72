"""The compiled form: a team of threads takes each step in five strides, each row of each table moved by one owner.

1. users    bring the batch's users up to date, normalise, drop out, pack 16 side by side
2. scan     bring all items up to date; score 8 items with 16 users at a time, in registers; by hinges, of the pairs
            above the smallest margin (a pair in a hundred) sum loss and gradients, of users by part of the catalogue
3. pull     each user's positives and the sum of their gradient over the parts
4. gather   the positives' part of the items' gradients; squared norms
5. move     clip by the global norm, move touched rows with lazy Adam

A pair at or below the smallest margin has a gradient of exactly 0 and costs its part of a matrix product, 64
multiplications at D = 64, and a sixteenth of a comparison. By squares and sigmoids every pair counts (``dense``), and
gradients are products of matrices too. Each item belongs to one of ``LANES`` parts of the
catalogue, each part to one thread, and sums run in a fixed order within and over parts: no result depends on the number
of threads. Memory: O(G D + B) for a batch of G users and B interactions, O(I), and (I, D) address space of which only
the pages of touched rows are ever used.
"""

import numba
import numpy as np

from multimargin.kernels.draws import keep_scales
from multimargin.kernels.grouped_epoch.dense import scan_all
from multimargin.kernels.grouped_epoch.lanes import first_from, touch
from multimargin.kernels.grouped_epoch.records import LANES
from multimargin.kernels.intrinsics import TILE_LANES, TILE_ROWS, lanes_above, multiply_tile
from multimargin.kernels.lazy_adam.cpu import bring_up, move_row, pass_step
from multimargin.kernels.rows import add_scaled, dot, fetch_row, inverse_norm
from multimargin.kernels.team import STRIDE, TOGETHER, meet, share
from multimargin.kernels.terms import HINGES, hinge_term, positive_term

_NEARLY = np.float32(1e-5)  # further off than the rounding of a limit


@numba.njit(**STRIDE)
def _prepare_user(g, user, place, size, n_items, users, x, clock, settings, now):
    """Fill in user ``g`` of a batch of ``size`` interactions, who stands at ``place`` in the stream of dropout."""
    dim = users.vectors.shape[1]
    count = settings.indptr[user + 1] - settings.indptr[user]
    n = n_items - count if settings.exclude_seen else n_items
    x.per_pair[g] = np.float32(np.float64(count) / (np.float64(size) * np.float64(n)))
    bring_up(users, user, now, clock)
    row, keep, unit, q = users.vectors[user], x.keep[g], x.unit[g], x.query[g]
    x.inverse[g] = inverse_norm(row) if settings.cosine else np.float32(1)
    if settings.dropout > np.float32(0):
        keep_scales(settings.dropout_key, place, settings.dropout, keep)
    for d in range(dim):
        unit[d] = row[d] * x.inverse[g]
        q[d] = unit[d] * keep[d]
    panel, column = g // TILE_LANES, g % TILE_LANES
    for d in range(dim):
        x.panels[panel, d, column] = q[d]


@numba.njit(inline="always")
def _seen(settings, user, j):
    """Return whether ``user`` has item ``j``."""
    place = first_from(settings, user, j)
    return place < settings.indptr[user + 1] and settings.indices[place] == j


@numba.njit(inline="always")
def _push(lane, j, g, user, score, items, x, settings):
    """Add what the pair of item ``j`` and user ``g``, near or above the smallest margin, adds to loss and gradients."""
    hinge, slope = hinge_term(settings.terms, score)
    if slope != np.float32(0) and not (settings.exclude_seen and _seen(settings, user, j)):
        x.push[lane, g] += np.float64(hinge)
        row = touch(lane, j, x)
        factor = slope * x.per_pair[g] * x.item_inverse[j]
        add_scaled(x.item_gradient[lane, row], factor, x.query[g])
        x.along[lane, row] += factor * score * x.item_inverse[j]
        v, part = items.vectors[j], x.part[lane, g]
        for d in range(len(v)):
            part[d] += factor * v[d]


@numba.njit(**STRIDE)
def _scan_lane(lane, people, position, n_users, items, x, clock, settings, now):
    """Score the lane's items with the batch's users."""
    n_items, dim = items.vectors.shape
    tile, lowest = x.tiles[lane, 0], settings.terms.margins[0]
    x.n_touched[lane] = 0
    x.push[lane, :n_users] = 0.0
    x.part[lane, :n_users, :] = np.float32(0)
    first, last = share(lane, LANES, n_items)
    for j in range(first, last, TILE_ROWS):
        rows = min(TILE_ROWS, last - j)
        ahead = min(j + 2 * TILE_ROWS, last)
        for row in range(j + TILE_ROWS, ahead):
            fetch_row(items.vectors, row * dim, dim)
            fetch_row(items.moments, 3 * row * dim + 2 * dim, dim)
        for row in range(j, j + rows):
            bring_up(items, row, now, clock)
            x.item_inverse[row] = inverse_norm(items.vectors[row]) if settings.cosine else np.float32(1)
        for start in range(0, n_users, TILE_LANES):
            here = (1 << min(TILE_LANES, n_users - start)) - 1
            multiply_tile(items.vectors, j * dim, dim, 1, rows, x.panels, start * dim, TILE_LANES, dim, tile)  # type: ignore[call-arg]
            for r in range(rows):  # type: ignore[unreachable]
                inverse = x.item_inverse[j + r]
                limit = lowest / inverse
                bits = lanes_above(tile, r, limit - abs(limit) * _NEARLY) & here  # type: ignore[call-arg]
                g = start
                while bits:
                    if bits & 1:
                        _push(lane, j + r, g, people[position + g], tile[r, g - start] * inverse, items, x, settings)
                    bits >>= 1
                    g += 1


@numba.njit(**STRIDE)
def _pull_user(g, user, size, items, x, settings):
    """Score the user's positives; sum the gradient of the user's row, and its square."""
    gradient, q, dim = x.user_gradient[g], x.query[g], items.vectors.shape[1]
    gradient[:] = np.float32(0)
    count = settings.indptr[user + 1] - settings.indptr[user]
    push, pull = 0.0, 0.0
    for lane in range(LANES):
        push += x.push[lane, g]
        add_scaled(gradient, np.float32(1), x.part[lane, g])
    for k in range(count):
        j = np.int64(settings.indices[settings.indptr[user] + k])
        v, inverse, pair = items.vectors[j], x.item_inverse[j], x.first[g] + k
        score = dot(v, q) * inverse
        cost, slope = positive_term(settings.terms, score)
        slope /= np.float32(size)
        pull += np.float64(cost)
        x.pos_score[pair], x.pos_slope[pair] = score, slope
        if slope != np.float32(0):
            add_scaled(gradient, slope * inverse, v)
    x.loss[g] = pull + push * np.float64(x.per_pair[g]) * np.float64(size)
    unit, keep, inverse = x.unit[g], x.keep[g], x.inverse[g]
    for d in range(dim):
        gradient[d] *= keep[d]
    if settings.cosine:
        along = dot(gradient, unit)
        for d in range(dim):
            gradient[d] = (gradient[d] - along * unit[d]) * inverse
    x.norm[g] = np.float64(dot(gradient, gradient))


@numba.njit(**STRIDE)
def _gather_lane(lane, people, position, n_users, items, x, settings):
    """Add the positives' part to the gradients of the lane's items, and finish them; square their norms."""
    first, last = share(lane, LANES, items.vectors.shape[0])
    for g in range(n_users):
        start = settings.indptr[people[position + g]]
        for pair in range(x.first[g], x.first[g + 1]):
            j = np.int64(settings.indices[start + pair - x.first[g]])
            if first <= j < last and x.pos_slope[pair] != np.float32(0):
                row = touch(lane, j, x)
                factor = x.pos_slope[pair] * x.item_inverse[j]
                add_scaled(x.item_gradient[lane, row], factor, x.query[g])
                x.along[lane, row] += factor * x.pos_score[pair] * x.item_inverse[j]
    total = 0.0
    for row in range(x.n_touched[lane]):
        j = x.touched[lane, row]
        x.place[j] = -1
        gradient = x.item_gradient[lane, row]
        if settings.cosine:
            add_scaled(gradient, -x.along[lane, row], items.vectors[j])
        total += np.float64(dot(gradient, gradient))
    x.norm[n_users + lane] = total


@numba.njit(**STRIDE)
def _move_lane(lane, people, position, n_users, users, items, x, clock, scale, now, k):
    """Move this lane's items, and its share of the users, by one step of Adam with their clipped gradients."""
    dim, count = items.vectors.shape[1], x.n_touched[lane]
    for row in range(count):
        if row + 2 < count:
            fetch_row(items.vectors, x.touched[lane, row + 2] * dim, dim)
            fetch_row(items.moments, 3 * x.touched[lane, row + 2] * dim, 3 * dim)
        move_row(items, x.touched[lane, row], x.item_gradient[lane, row], scale, now, k, clock)
    first, last = share(lane, LANES, n_users)
    for g in range(first, last):
        move_row(users, people[position + g], x.user_gradient[g], scale, now, k, clock)


@numba.njit(**TOGETHER)
def run_steps(thread, threads, cells, users, items, clock, now, position, ends, settings, x, people, places):
    """Train on ``people``, who stand at ``places`` in the stream of dropout (see ``Launcher.run``)."""
    n_items = items.vectors.shape[0]
    for k in range(len(ends)):
        n_users = ends[k] - position
        # 1. users
        if thread == 0:
            x.first[0] = 0
            for g in range(n_users):
                user = people[position + g]
                x.first[g + 1] = x.first[g] + settings.indptr[user + 1] - settings.indptr[user]
        meet(cells, thread, threads)
        size = x.first[n_users]
        first, last = share(thread, threads, n_users)
        for g in range(first, last):
            user, place = people[position + g], places[position + g]
            _prepare_user(g, user, place, size, n_items, users, x, clock, settings, now)
        meet(cells, thread, threads)
        # 2. scan
        for lane in range(thread, LANES, threads):
            if len(settings.terms.kind) == HINGES:
                _scan_lane(lane, people, position, n_users, items, x, clock, settings, now)
            else:
                scan_all(lane, people, position, n_users, items, x, clock, settings, now)
        meet(cells, thread, threads)
        # 3. pull
        for g in range(first, last):
            _pull_user(g, people[position + g], size, items, x, settings)
        meet(cells, thread, threads)
        # 4. gather
        for lane in range(thread, LANES, threads):
            _gather_lane(lane, people, position, n_users, items, x, settings)
        meet(cells, thread, threads)
        # 5. move
        scale = np.float32(1)
        if settings.clip_norm > 0:
            total = 0.0
            for part in range(n_users + LANES):
                total += x.norm[part]
            scale = np.float32(min(1.0, settings.clip_norm / (np.sqrt(total) + 1e-6)))
        for lane in range(thread, LANES, threads):
            _move_lane(lane, people, position, n_users, users, items, x, clock, scale, now + 1, k)
        if thread == 0:
            pass_step(clock, now, k)  # nobody reads the clock now
            for g in range(n_users):
                x.total[0] += x.loss[g]
        meet(cells, thread, threads)
        now, position = now + 1, ends[k]
