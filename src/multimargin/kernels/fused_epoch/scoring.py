"""One row of a batch: its query, the pairs that have a gradient, its loss, and the gradient of its user."""

import numba
import numpy as np

from multimargin.kernels.draws import keep_scale
from multimargin.kernels.lazy_adam.cpu import missing_drift
from multimargin.kernels.rows import TINY, add_scaled, dot, fetch_row, inverse_norm
from multimargin.kernels.uniform_draws.cpu import draw_row

_ABOVE, _BELOW = np.float32(1.0001), np.float32(0.9999)  # further off than the rounding of a bound
_GROUP = 4
_AHEAD = 16  # pairs whose rows are asked for before they are scored


@numba.njit(inline="always")
def _fetch_pair(items, x, j, dim, limited):
    """Ask for what screening item ``j`` reads."""
    fetch_row(items.vectors, j * dim, dim)
    if limited:
        fetch_row(x.limit, 2 * j, 1)
    else:
        fetch_row(items.squares, 3 * j, 1)


@numba.njit(inline="always")
def fetch_start(b, users, items, x, dim, limited):
    """Ask for what scoring row ``b`` reads first."""
    u, i, drawn = x.users[b], x.positives[b], x.negatives[b]
    fetch_row(users.vectors, u * dim, dim)
    fetch_row(users.moments, 3 * u * dim, 3 * dim)
    fetch_row(items.vectors, i * dim, dim)
    fetch_row(items.moments, 3 * i * dim, 3 * dim)
    for k in range(min(_AHEAD, len(drawn))):
        _fetch_pair(items, x, np.int64(drawn[k]), dim, limited)


@numba.njit(inline="always")
def draw(b, x, settings, n_items, place):
    """Draw row ``b``'s negatives by their places in the stream."""
    seen = settings.seen_indices[:0]
    if len(settings.seen_indptr):
        seen = settings.seen_indices[settings.seen_indptr[x.users[b]] : settings.seen_indptr[x.users[b] + 1]]
    draw_row(settings.negatives_key, np.uint64(place), n_items, seen, x.negatives[b])


@numba.njit(inline="always")
def limit(j, items, clock, settings, now):
    """Return h, r such that |q . v| < h - r |q| rules out that item ``j``, now v - missing e, scores above any margin.

    |q . (v - missing e)| <= |q . v| + |q| |missing e|, and the item's norm follows from its squares.
    """
    missing = missing_drift(items.last, items.applied, j, now, clock)
    norm = np.float32(1)
    if settings.cosine:
        two = np.float32(2)
        square = items.squares[j, 0] - missing * (two * items.squares[j, 1] - missing * items.squares[j, 2])
        norm = np.sqrt(max(square, np.float32(0)))
    return settings.margins[0] * norm * _BELOW, abs(missing) * np.sqrt(items.squares[j, 2])


@numba.njit(inline="always")
def _screen(b, q, items, x, clock, settings, now, limited):
    """Write the drawn items that may score above the smallest margin behind the positive; return how many with it."""
    drawn, result = x.negatives[b], x.pair_item[b]
    n, dim = len(drawn), len(q)
    reach = np.sqrt(dot(q, q)) * _ABOVE
    always = settings.margins[0] <= np.float32(0)
    count = 1
    for start in range(0, n, _GROUP):
        # 1. some at a time, since their rows arrive together
        for k in range(start + _AHEAD, min(start + _AHEAD + _GROUP, n)):
            _fetch_pair(items, x, np.int64(drawn[k]), dim, limited)
        last = n - 1
        j0, j1 = np.int64(drawn[start]), np.int64(drawn[min(start + 1, last)])
        j2, j3 = np.int64(drawn[min(start + 2, last)]), np.int64(drawn[min(start + 3, last)])
        v0, v1, v2, v3 = items.vectors[j0], items.vectors[j1], items.vectors[j2], items.vectors[j3]
        s0, s1, s2, s3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for d in range(dim):
            s0 += q[d] * v0[d]
            s1 += q[d] * v1[d]
            s2 += q[d] * v2[d]
            s3 += q[d] * v3[d]
        # 2. which of them reach
        for k, j, s in ((start, j0, s0), (start + 1, j1, s1), (start + 2, j2, s2), (start + 3, j3, s3)):
            if k < n:
                if limited:
                    height, spread = x.limit[j, 0], x.limit[j, 1]
                else:
                    height, spread = limit(j, items, clock, settings, now)
                if always or s + reach * spread >= height:
                    result[count] = j
                    count += 1
    return count


@numba.njit(inline="always")
def score_row(b, users, items, x, clock, settings, now, place, size, limited):
    """Fill in row ``b`` of a batch of ``size``, which stands at ``place`` in the streams."""
    n = settings.n_negatives
    cosine, margins, slopes = settings.cosine, settings.margins, settings.slopes
    dim = users.vectors.shape[1]
    one, zero = np.float32(1), np.float32(0)
    # 1. the user as of now, normalised: ``unit``; with dropout: ``q``
    row = x.users[b]
    unit, q, g = x.unit[b], x.query[b], x.user_gradient[b]
    w, e = users.vectors[row], users.moments[row, 2]
    missing = missing_drift(users.last, users.applied, row, now, clock)
    for d in range(dim):
        unit[d] = w[d] - missing * e[d]
    user_inverse = inverse_norm(unit) if cosine else one
    keep = x.keep[b]
    if settings.dropout > zero:
        first = np.uint64(place) * np.uint64(dim)
        for d in range(dim):
            keep[d] = keep_scale(settings.dropout_key, first + np.uint64(d), settings.dropout)
    for d in range(dim):
        unit[d] *= user_inverse
        q[d] = unit[d] * keep[d]
        g[d] = zero
    # 2. the pairs that have a gradient: the positive below 1, negatives above the smallest margin
    pair_item, pair_score, pair_inverse, pair_missing = x.pair_item[b], x.score[b], x.inverse[b], x.missing[b]
    pair_item[0] = x.positives[b]
    within_reach = _screen(b, q, items, x, clock, settings, now, limited)
    loss = 0.0
    count = 0
    first_negative = 0
    for k in range(within_reach):
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
