"""A thread's rows of a batch in three passes: their queries, the items to score, the pairs that have a gradient.

Each pass is a short loop whose rows do not wait for one another, and asks for what its later rows will read.
"""

import numba
import numpy as np

from multimargin.kernels.fused_epoch.screening import confirm, fetch_first, lane_of, prepare, screen
from multimargin.kernels.lazy_adam.cpu import missing_drift
from multimargin.kernels.rows import TINY
from multimargin.kernels.team import STRIDE
from multimargin.kernels.terms import HINGES, hinge_term, negative_terms, positive_term
from multimargin.kernels.uniform_draws.cpu import draw_row
from multimargin.kernels.user_rows import ROWS_AHEAD, fetch_idle, form_query, through_query


@numba.njit(**STRIDE)
def form_queries(first, last, batch, users, x, clock, settings, now, place):
    """Fill in the queries of rows ``first`` to ``last``; row 0 stands at ``place`` in the stream of dropout."""
    for b in range(first, last):
        if b + ROWS_AHEAD < last:
            fetch_idle(users, np.int64(batch.users[b + ROWS_AHEAD]))
        form_query(b, np.int64(batch.users[b]), place + b, users, x, clock, settings, now)
        if len(settings.screened):
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
    if len(settings.screened):
        fetch_first(thread, turn, x)


@numba.njit(**STRIDE)
def find_candidates(thread, first, last, batch, items, x, clock, settings, now, place):
    """List the drawn items to be scored: all, or those that may reach the smallest margin."""
    n, n_items, count = settings.n_negatives, items.vectors.shape[0], 0
    if first < last:
        _draw(thread, first, batch, x, settings, n_items, place)
    for b in range(first, last):
        if b + 1 < last:
            _draw(thread, b + 1, batch, x, settings, n_items, place)
        if len(settings.screened):
            count = screen(thread, b % 2, b, count, x, settings)
        else:
            for k in range(n):
                x.candidates[thread, count + k] = x.negatives[thread, b % 2, k]
            count += n
        x.candidates_end[b] = count
    if len(settings.screened):
        confirm(thread, first, last, items, x, clock, settings, now)


@numba.njit(**STRIDE)
def score_rows(thread, first, last, batch, items, x, clock, settings, now, size):
    """Score positives and candidates of rows ``first`` to ``last`` of a batch of ``size``; list those with a gradient.

    The rows' losses and the gradients of their users are filled in.
    """
    x.n_active[thread, :] = 0
    for b in range(first, min(first + ROWS_AHEAD, last)):
        fetch_idle(items, np.int64(batch.positives[b]))
    start = 0
    for b in range(first, last):
        if b + ROWS_AHEAD < last:
            fetch_idle(items, np.int64(batch.positives[b + ROWS_AHEAD]))
            for k in range(x.candidates_end[b + ROWS_AHEAD - 1], x.candidates_end[b + ROWS_AHEAD]):
                fetch_idle(items, np.int64(x.candidates[thread, k]))
        stop = x.candidates_end[b]
        _score_row(thread, b, batch.positives[b], start, stop, items, x, clock, settings, now, size)
        start = stop


@numba.njit(inline="always")
def _score_row(thread, b, positive, start, stop, items, x, clock, settings, now, size):
    """Take one row: its candidates are ``start`` to ``stop`` of the thread's."""
    n, dim, terms, cosine = settings.n_negatives, items.vectors.shape[1], settings.terms, settings.cosine
    one, zero = np.float32(1), np.float32(0)
    hinges = len(terms.kind) == HINGES
    q, g = x.query[b], x.user_gradient[b]
    pair_item, pair_score = x.pair_item[thread], x.score[thread]
    pair_inverse, pair_missing = x.inverse[thread], x.missing[thread]
    # 1. the positive, and the negatives that have a gradient: by hinges, those above the smallest margin
    count = 0
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
        pair_item[count], pair_score[count], pair_inverse[count], pair_missing[count] = j, score, inverse, missing
        count += k < start or not hinges or score > terms.margins[0]
    # 2. loss, slopes, the part of q's gradient
    for d in range(dim):
        g[d] = zero
    costs, slopes = x.cost[thread], x.slope[thread]
    if not hinges:
        negative_terms(terms, pair_score, count, costs, slopes)  # the positive's is not used
    loss, push = 0.0, 0.0
    per_pair = one / np.float32(n * size)
    for k in range(count):
        if k == 0:
            cost, slope = positive_term(terms, pair_score[0])
            loss = np.float64(cost)
            slope /= np.float32(size)
        else:
            if hinges:
                cost, slope = hinge_term(terms, pair_score[k])
            else:
                cost, slope = costs[k], slopes[k]
            push += np.float64(cost)
            slope *= per_pair
        if slope != zero:
            j, factor, missing = np.int64(pair_item[k]), slope * pair_inverse[k], pair_missing[k]
            v, f = items.vectors[j], items.moments[j, 2]
            for d in range(dim):
                g[d] += factor * (v[d] - missing * f[d])
            lane = lane_of(j)
            place = x.n_active[thread, lane]
            x.active_item[thread, lane, place], x.active_row[thread, lane, place] = j, b
            x.active_factor[thread, lane, place] = factor
            x.active_along[thread, lane, place] = factor * pair_score[k] * pair_inverse[k]
            x.n_active[thread, lane] = place + 1
    x.loss[b] = loss + push / n
    through_query(b, x, settings)
