"""The users' rows of a batch, for kernels whose rows are interactions: a user may have several of them.

Queries are formed from rows as they would be now; the table itself is written where its row is moved.
"""

import numba
import numpy as np

from multimargin.kernels.draws import keep_scales
from multimargin.kernels.intrinsics import fetch
from multimargin.kernels.lazy_adam.cpu import missing_drift, move_row
from multimargin.kernels.rows import add_scaled, dot, fetch_row, inverse_norm

ROWS_AHEAD = 6  # rows asked for before they are read
_LEAVE = 2  # rows asked for before they are moved


@numba.njit(inline="always")
def chain(who, x):
    """Chain the rows of one user, for a batch of users ``who``."""
    for b in range(len(who)):
        u = who[b]
        x.following[b] = -1
        before = x.newest[u]
        x.leader[b] = b if before < 0 else x.leader[before]
        if before >= 0:
            x.following[before] = b
        x.newest[u] = b
    for b in range(len(who)):
        x.newest[who[b]] = -1


@numba.njit(inline="always")
def fetch_idle(table, row):
    """Ask for what reading ``row`` as of now needs."""
    dim = table.vectors.shape[1]
    fetch(table.last, row)
    fetch(table.applied, row)
    fetch_row(table.vectors, row * dim, dim)
    fetch_row(table.moments, (3 * row + 2) * dim, dim)


@numba.njit(inline="always")
def form_query(b, row, place, users, x, clock, settings, now):
    """Fill in the query of row ``b`` of a batch, whose user is ``row``, at ``place`` in the stream of dropout."""
    dim = users.vectors.shape[1]
    unit, q, keep, w, e = x.unit[b], x.query[b], x.keep[b], users.vectors[row], users.moments[row, 2]
    x.lacking[b] = missing = missing_drift(users.last, users.applied, row, now, clock)
    for d in range(dim):
        unit[d] = w[d] - missing * e[d]
    x.user_inverse[b] = inverse = inverse_norm(unit) if settings.cosine else np.float32(1)
    if settings.dropout > np.float32(0):
        keep_scales(settings.dropout_key, place, settings.dropout, keep)
    for d in range(dim):
        unit[d] *= inverse
        q[d] = unit[d] * keep[d]


@numba.njit(inline="always")
def through_query(b, x, settings):
    """Lead the gradient of row ``b``'s query through dropout and normalisation."""
    g, keep, unit = x.user_gradient[b], x.keep[b], x.unit[b]
    for d in range(len(keep)):
        g[d] *= keep[d]
    if settings.cosine:
        along, inverse = np.float32(0), x.user_inverse[b]
        for d in range(len(keep)):
            along += g[d] * unit[d]
        for d in range(len(keep)):
            g[d] = (g[d] - along * unit[d]) * inverse


@numba.njit(inline="always")
def add_repeats(b, x):
    """If row ``b`` is the first of its user, add the gradients of the others to it; return its square, else 0."""
    total = 0.0
    if x.leader[b] == b:
        g, follower = x.user_gradient[b], x.following[b]
        while follower >= 0:
            add_scaled(g, np.float32(1), x.user_gradient[follower])
            follower = x.following[follower]
        total = np.float64(dot(g, g))
    return total


@numba.njit(inline="always")
def move_users(first, last, who, users, x, scale, now, k, clock):
    """Move the users of rows ``first`` to ``last`` by one step of Adam with their clipped gradients."""
    dim = users.vectors.shape[1]
    for b in range(first, last):
        if b + _LEAVE < last:
            ahead = np.int64(who[b + _LEAVE])
            fetch_row(users.vectors, ahead * dim, dim)
            fetch_row(users.moments, 3 * ahead * dim, 3 * dim)
        if x.leader[b] == b:
            u = np.int64(who[b])
            add_scaled(users.vectors[u], -x.lacking[b], users.moments[u, 2])
            move_row(users, u, x.user_gradient[b], scale, now, k, clock)
