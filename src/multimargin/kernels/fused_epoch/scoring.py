"""One row of a batch: its query, the pairs that have a gradient, its loss, and the gradient of its user."""

import numba
import numpy as np

from multimargin.kernels.draws import keep_scales
from multimargin.kernels.fused_epoch.screening import fetch_first, screen
from multimargin.kernels.lazy_adam.cpu import missing_drift
from multimargin.kernels.rows import TINY, add_scaled, dot, fetch_row, inverse_norm
from multimargin.kernels.uniform_draws.cpu import draw_row


@numba.njit(inline="always")
def fetch_start(thread, turn, b, users, items, x, settings, dim):
    """Ask for what scoring row ``b`` reads first."""
    u, i = x.users[b], x.positives[b]
    fetch_row(users.vectors, u * dim, dim)
    fetch_row(users.moments, 3 * u * dim, 3 * dim)
    fetch_row(items.vectors, i * dim, dim)
    fetch_row(items.moments, 3 * i * dim, 3 * dim)
    if settings.screened:
        fetch_first(thread, turn, x)


@numba.njit(inline="always")
def draw(thread, turn, b, x, settings, n_items, place):
    """Draw row ``b``'s negatives by their places in the stream."""
    seen = settings.seen_indices[:0]
    if len(settings.seen_indptr):
        seen = settings.seen_indices[settings.seen_indptr[x.users[b]] : settings.seen_indptr[x.users[b] + 1]]
    draw_row(settings.negatives_key, np.uint64(place), n_items, seen, x.negatives[thread, turn, : settings.n_negatives])


@numba.njit(inline="always")
def score_row(thread, turn, b, users, items, x, clock, settings, now, place, size):
    """Fill in row ``b`` of a batch of ``size``, which stands at ``place`` in the streams."""
    n = settings.n_negatives
    cosine, margins, slopes = settings.cosine, settings.margins, settings.slopes
    dim = users.vectors.shape[1]
    one, zero = np.float32(1), np.float32(0)
    # 1. the user as of now, normalised: ``unit``; with dropout: ``q``
    row = x.users[b]
    unit, q, g = x.unit[thread], x.query[b], x.user_gradient[b]
    w, e = users.vectors[row], users.moments[row, 2]
    x.lacking[b] = missing = missing_drift(users.last, users.applied, row, now, clock)
    for d in range(dim):
        unit[d] = w[d] - missing * e[d]
    user_inverse = inverse_norm(unit) if cosine else one
    keep = x.keep[thread]
    if settings.dropout > zero:
        keep_scales(settings.dropout_key, place, settings.dropout, keep)
    for d in range(dim):
        unit[d] *= user_inverse
        q[d] = unit[d] * keep[d]
        g[d] = zero
    # 2. the pairs that have a gradient: the positive below 1, negatives above the smallest margin
    pair_item, pair_score, pair_inverse, pair_missing = x.pair_item[b], x.score[b], x.inverse[b], x.missing[b]
    pair_item[0] = x.positives[b]
    if settings.screened:
        within_reach = screen(thread, turn, b, q, items, x, clock, settings, now)
    else:
        within_reach = n
        drawn = x.negatives[thread, turn]
        for k in range(n):
            pair_item[k + 1] = drawn[k]
    loss = 0.0
    count = 0
    first_negative = 0
    for k in range(1 + within_reach):
        j = np.int64(pair_item[k])
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
        if (score > margins[0]) if k > 0 else (score < one and settings.pos_slope > zero):
            pair_item[count], pair_score[count], pair_inverse[count], pair_missing[count] = j, score, inverse, missing
            count += 1
            if k == 0:
                first_negative = 1
    x.active[b] = count
    # 3. loss and slopes
    hinge = 0.0
    pair_slope = x.slope[b]
    if first_negative:
        loss = np.float64(settings.pos_slope * (one - pair_score[0]))
        pair_slope[0] = -settings.pos_slope / np.float32(size)
    per_pair = one / np.float32(n * size)
    for k in range(first_negative, count):
        slope = zero
        for m in range(len(margins)):
            if pair_score[k] > margins[m]:
                slope += slopes[m]
                hinge += np.float64(slopes[m] * (pair_score[k] - margins[m]))
        pair_slope[k] = slope * per_pair
    x.loss[b] = loss + hinge / n
    # 4. the gradient of the user's row: q's, through dropout and normalisation
    for k in range(count):
        j = pair_item[k]
        v, f = items.vectors[j], items.moments[j, 2]
        factor, missing = pair_slope[k] * pair_inverse[k], pair_missing[k]
        if missing == zero:
            add_scaled(g, factor, v)
        else:
            for d in range(dim):
                g[d] += factor * (v[d] - missing * f[d])
    for d in range(dim):
        g[d] *= keep[d]
    if cosine:
        along = dot(g, unit)
        for d in range(dim):
            g[d] = (g[d] - along * unit[d]) * user_inverse
