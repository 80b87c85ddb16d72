"""What a lane knows of its items: which of them a user has, and where their gradients are summed."""

import numba
import numpy as np


@numba.njit(inline="always")
def first_from(settings, user, j):
    """Return the place in ``indices`` of the user's first item from ``j`` on."""
    first, last = settings.indptr[user], settings.indptr[user + 1]
    while first < last:
        middle = (first + last) >> 1
        if settings.indices[middle] < j:
            first = middle + 1
        else:
            last = middle
    return first


@numba.njit(inline="always")
def touch(lane, j, x):
    """Return the place of item ``j`` in its lane, with sums of 0 if it is new."""
    if x.place[j] < 0:
        count = x.n_touched[lane]
        x.place[j], x.touched[lane, count] = count, j
        x.along[lane, count] = np.float32(0)
        x.item_gradient[lane, count, :] = np.float32(0)
        x.n_touched[lane] = count + 1
    return np.int64(x.place[j])
