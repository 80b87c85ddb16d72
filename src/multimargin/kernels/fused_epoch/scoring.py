"""A thread's rows of a batch in three passes: their queries, the items to score, the pairs that have a gradient.

Each pass is a short loop whose rows do not wait for one another, and asks for what its later rows will read.
"""

import numba
import numpy as np

from multimargin.kernels.draws import keep_scales
from multimargin.kernels.fused_epoch.screening import confirm, fetch_first, lane_of, prepare, screen
from multimargin.kernels.intrinsics import fetch
from multimargin.kernels.lazy_adam.cpu import missing_drift
from multimargin.kernels.rows import TINY, dot, fetch_row, inverse_norm
from multimargin.kernels.uniform_draws.cpu import draw_row

_AHEAD = 6  # rows asked for before they are read


@numba.njit(inline="always")
def _fetch(table, row):
    """Ask for what reading ``row`` as of now needs."""
    dim = table.vectors.shape[1]
    fetch(table.last, row)
    fetch(table.applied, row)
    fetch_row(table.vectors, row * dim, dim)
    fetch_row(table.moments, (3 * row + 2) * dim, dim)


@numba.njit(inline="always")
def form_queries(first, last, batch, users, x, clock, settings, now, place):
    """Fill in the queries of rows ``first`` to ``last``; row 0 stands at ``place`` in the stream of dropout."""
    dim = users.vectors.shape[1]
    for b in range(first, last):
        if b + _AHEAD < last:
            _fetch(users, np.int64(batch.users[b + _AHEAD]))
        row = np.int64(batch.users[b])
        unit, q, keep, w, e = x.unit[b], x.query[b], x.keep[b], users.vectors[row], users.moments[row, 2]
        x.lacking[b] = missing = missing_drift(users.last, users.applied, row, now, clock)
        for d in range(dim):
            unit[d] = w[d] - missing * e[d]
        if settings.cosine:
            x.user_inverse[b] = inverse_norm(unit)
        inverse = x.user_inverse[b]
        if settings.dropout > np.float32(0):
            keep_scales(settings.dropout_key, place + b, settings.dropout, keep)
        for d in range(dim):
            unit[d] *= inverse
            q[d] = unit[d] * keep[d]
        if settings.screened:
            prepare(b, x, settings)


@numba.njit(inline="always")
def _draw(thread, b, batch, x, settings, n_items, place):
    """Draw row ``b``'s negatives by their places in the stream; return where they are."""
    turn, seen = b % 2, settings.seen_indices[:0]
    if len(settings.seen_indptr):
        u = batch.users[b]
        seen = settings.seen_indices[settings.seen_indptr[u] : settings.seen_indptr[u + 1]]
    drawn = x.negatives[thread, turn, : settings.n_negatives]
    draw_row(settings.negatives_key, np.uint64(place + b), n_items, seen, drawn)
    if settings.screened:
        fetch_first(thread, turn, x)


@numba.njit(inline="always")
def find_candidates(thread, first, last, batch, items, x, clock, settings, now, place):
    """List the drawn items to be scored: all, or those that may reach the smallest margin."""
    n, n_items, count = settings.n_negatives, items.vectors.shape[0], 0
    if first < last:
        _draw(thread, first, batch, x, settings, n_items, place)
    for b in range(first, last):
        if b + 1 < last:
            _draw(thread, b + 1, batch, x, settings, n_items, place)
        if settings.screened:
            count = screen(thread, b % 2, b, count, x, settings)
        else:
            for k in range(n):
                x.candidates[thread, count + k] = x.negatives[thread, b % 2, k]
            count += n
        x.candidates_end[b] = count
    if settings.screened:
        confirm(thread, first, last, items, x, clock, settings, now)


@numba.njit(inline="always")
def score_rows(thread, first, last, batch, items, x, clock, settings, now, size):
    """Score positives and candidates of rows ``first`` to ``last`` of a batch of ``size``; list those with a gradient.

    The rows' losses and the gradients of their users are filled in.
    """
    x.n_active[thread, :] = 0
    for b in range(first, min(first + _AHEAD, last)):
        _fetch(items, np.int64(batch.positives[b]))
    start = 0
    for b in range(first, last):
        if b + _AHEAD < last:
            _fetch(items, np.int64(batch.positives[b + _AHEAD]))
            for k in range(x.candidates_end[b + _AHEAD - 1], x.candidates_end[b + _AHEAD]):
                _fetch(items, np.int64(x.candidates[thread, k]))
        stop = x.candidates_end[b]
        _score_row(thread, b, batch.positives[b], start, stop, items, x, clock, settings, now, size)
        start = stop


@numba.njit(inline="always")
def _score_row(thread, b, positive, start, stop, items, x, clock, settings, now, size):
    """Take one row: its candidates are ``start`` to ``stop`` of the thread's."""
    n, dim = settings.n_negatives, items.vectors.shape[1]
    cosine, margins, slopes = settings.cosine, settings.margins, settings.slopes
    one, zero = np.float32(1), np.float32(0)
    unit, q, keep, g = x.unit[b], x.query[b], x.keep[b], x.user_gradient[b]
    pair_item, pair_score = x.pair_item[thread], x.score[thread]
    pair_inverse, pair_missing = x.inverse[thread], x.missing[thread]
    # 1. the pairs that have a gradient: the positive below 1, negatives above the smallest margin
    count = 0
    first_negative = 0
    for k in range(start - 1, stop):
        j = np.int64(positive) if k < start else np.int64(x.candidates[thread, k])
        v, f = items.vectors[j], items.moments[j, 2]
        missing = missing_drift(items.last, items.applied, j, now, clock)
        score, inverse, square = zero, one, zero
        for d in range(dim):
            value = v[d] - missing * f[d]
            score += q[d] * value
            square += value * value
        if cosine:
            inverse = one / max(np.sqrt(square), TINY)
        score *= inverse
        if (score > margins[0]) if k >= start else (score < one and settings.pos_slope > zero):
            pair_item[count], pair_score[count], pair_inverse[count], pair_missing[count] = j, score, inverse, missing
            count += 1
            if k < start:
                first_negative = 1
    # 2. loss, slopes, the part of q's gradient
    for d in range(dim):
        g[d] = zero
    loss, hinge = 0.0, 0.0
    per_pair = one / np.float32(n * size)
    for k in range(count):
        score = pair_score[k]
        if k < first_negative:
            loss = np.float64(settings.pos_slope * (one - score))
            slope = -settings.pos_slope / np.float32(size)
        else:
            slope = zero
            for m in range(len(margins)):
                if score > margins[m]:
                    slope += slopes[m]
                    hinge += np.float64(slopes[m] * (score - margins[m]))
            slope *= per_pair
        j, factor, missing = np.int64(pair_item[k]), slope * pair_inverse[k], pair_missing[k]
        v, f = items.vectors[j], items.moments[j, 2]
        for d in range(dim):
            g[d] += factor * (v[d] - missing * f[d])
        lane = lane_of(j)
        place = x.n_active[thread, lane]
        x.active_item[thread, lane, place], x.active_row[thread, lane, place] = j, b
        x.active_factor[thread, lane, place] = factor
        x.active_along[thread, lane, place] = factor * score * pair_inverse[k]
        x.n_active[thread, lane] = place + 1
    x.loss[b] = loss + hinge / n
    # 3. the gradient of the user's row: q's, through dropout and normalisation
    for d in range(dim):
        g[d] *= keep[d]
    if cosine:
        along, inverse = dot(g, unit), x.user_inverse[b]
        for d in range(dim):
            g[d] = (g[d] - along * unit[d]) * inverse
