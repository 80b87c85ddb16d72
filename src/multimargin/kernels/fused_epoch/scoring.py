"""One row of a batch: its query, the pairs that have a gradient, its loss, and the gradient of its user."""

import numba
import numpy as np

from multimargin.kernels.draws import keep_scale
from multimargin.kernels.rows import FAST, add_scaled, dot, through_normalisation


@numba.njit(cache=True)
def drop(row, place, settings):
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
def score_row(b, user_table, item_table, x, settings, place, size):
    """Do row ``b`` of a batch of ``size`` whose first row stands at ``place`` in the streams."""
    n = settings.n_negatives
    items, inverse = item_table.vectors, item_table.inverse
    margins, slopes = settings.margins, settings.slopes
    pair_item, pair_score, pair_slope = x.pair_item[b], x.pair_score[b], x.pair_slope[b]
    one = np.float32(1)
    # 1. the query: normalised, then dropped out
    u, r, q = user_table.vectors[x.users[b]], user_table.inverse[x.users[b]], x.query[b]
    q[:] = np.float32(0)
    add_scaled(q, r, u)
    drop(q, place + b, settings)
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
    drop(g, place + b, settings)
    if settings.cosine:
        through_normalisation(g, u, r)
