"""Which drawn items may score above the smallest margin: products of bytes and a bound that no result depends on.

Every item has a copy of one byte per entry, ``v8 = 127 v/|v|`` rounded, so that a drawn item costs one cache line and
one instruction instead of four. With q = step q8 + rest, the query, and v the item's row,

    q . v/|v| <= step/127 q8 . v8 + |q| (rounding + still) + |rest| (1 + rounding),       rounding = sqrt(D)/2 / 127.

The copy is not of the row as it is but of where it will be half-way through its drift, ``v - middle e``. An idle row is
never further from there than t = |missing - middle| |e| relative to its norm, its direction never further than
2 t / (2 - t), and ``still`` bounds that for all items. Within k steps the missing drift grows by at most
``ahead (1 - r^k)`` (``Schedule.drift_ahead``). A row that may drift too far from its copy is listed for the step at
which it may, and copied anew then. What the bound lets through is checked again with the row's own drift and rounding,
and then scored exactly.
"""

import numba
import numpy as np

from multimargin.kernels.fused_epoch.records import AHEAD, BLOCK, DAYS, LANES, NEIGHBOURS
from multimargin.kernels.intrinsics import BYTES, dot_drawn, fetch, fetch_drawn, largest
from multimargin.kernels.lazy_adam.cpu import bring_up, missing_drift
from multimargin.kernels.lazy_adam.schedule import NEVER
from multimargin.kernels.rows import TINY, dot, fetch_row

_ABOVE = np.float32(1.0001)  # further off than the rounding of a bound
_SCALE = np.float32(127)
_ZERO_BYTE = 128  # bytes of items are unsigned: 128 stands for 0
_ON, _BEFORE, _AFTER = range(3)
_LOWEST, _HIGHEST = -(2.0**31), 2.0**31 - 1


@numba.njit(inline="always")
def lane_of(j):
    """Return the lane of item ``j``."""
    return (j // NEIGHBOURS) & (LANES - 1)


@numba.njit(inline="always")
def fetch_first(thread, turn, x):
    """Ask for the first bytes that ``screen`` will read."""
    for start in range(0, AHEAD, 4):
        fetch_drawn(x.bytes, x.bytes.shape[1], x.negatives[thread, turn], start)


@numba.njit(inline="always")
def copy_row(j, items, x, clock, settings, now):
    """Make the copy of item ``j``, which is up to date; list it for the step at which it may be too far away."""
    w, e, copy, about = items.vectors[j], items.moments[j, 2], x.bytes[j], x.about[j]
    one = np.float32(1)
    # 1. half-way through the drift that is left, or as far as it may be away
    idle = min(now - items.last[j], clock.horizon)
    left = settings.drift_ahead * np.float32(clock.power[idle]) * _ABOVE if items.last[j] != NEVER else np.float32(0)
    ww, we, ee = np.float32(0), np.float32(0), np.float32(0)
    for d in range(len(w)):
        ww += w[d] * w[d]
        we += w[d] * e[d]
        ee += e[d] * e[d]
    farthest = settings.still * (one - settings.still) * np.sqrt(ww / max(ee, TINY * TINY))  # in units of drift
    middle = min(np.float32(0.5) * left, farthest)
    inverse = one / max(np.sqrt(max(ww - middle * (np.float32(2) * we - middle * ee), np.float32(0))), TINY)
    # 2. bytes, and how far they are off
    factor = inverse * _SCALE
    for d in range(len(w)):
        copy[d] = np.uint8(np.int32((w[d] - middle * e[d]) * factor + np.float32(_ZERO_BYTE + 0.5)))
    off = np.float32(0)
    for d in range(len(w)):
        difference = (w[d] - middle * e[d]) * factor - np.float32(np.int32(copy[d]) - _ZERO_BYTE)
        off += difference * difference
    about[0], about[1], about[2] = middle, np.sqrt(ee) * inverse, np.sqrt(off) * (_ABOVE / _SCALE)
    # 3. the step at which it may be too far away
    _strike(j, x)
    if left > np.float32(2) * middle:
        steps = np.log(1 - 2 * np.float64(middle) / left) / np.log(clock.power[1])
        _list(j, now + 1 + min(np.int64(steps), DAYS - 2), x)


@numba.njit(inline="always")
def _list(j, step, x):
    """Put item ``j`` on the list of ``step``, less than ``DAYS`` steps from now."""
    place = step % DAYS * LANES + lane_of(j)
    after = x.first_listed[place]
    x.listed[j, _ON], x.listed[j, _BEFORE], x.listed[j, _AFTER] = place, -1, after
    if after >= 0:
        x.listed[after, _BEFORE] = j
    x.first_listed[place] = j


@numba.njit(inline="always")
def _strike(j, x):
    """Take item ``j`` off the list it is on, if any."""
    place = x.listed[j, _ON]
    if place >= 0:
        before, after = x.listed[j, _BEFORE], x.listed[j, _AFTER]
        if before >= 0:
            x.listed[before, _AFTER] = after
        else:
            x.first_listed[place] = after
        if after >= 0:
            x.listed[after, _BEFORE] = before
        x.listed[j, _ON] = -1


@numba.njit(inline="always")
def copy_listed(lane, items, x, clock, settings, now):
    """Make the copies of this lane's rows that are listed for step ``now`` anew."""
    j = np.int64(x.first_listed[now % DAYS * LANES + lane])
    while j >= 0:
        after = np.int64(x.listed[j, _AFTER])
        if after >= 0:
            dim = items.vectors.shape[1]
            fetch_row(x.about, 4 * after, 1)
            fetch(x.listed, 4 * after)
            fetch(items.last, after)
            fetch(items.applied, after)
            fetch_row(items.vectors, after * dim, dim)
            fetch_row(items.moments, (3 * after + 2) * dim, dim)
        bring_up(items, j, now, clock)
        copy_row(j, items, x, clock, settings, now)
        j = after


@numba.njit(inline="always")
def copy_all(lane, items, x, clock, settings, now):
    """Bring all rows of this lane up to date and copy them."""
    for start in range(lane * NEIGHBOURS, len(x.about), LANES * NEIGHBOURS):
        for j in range(start, min(start + NEIGHBOURS, len(x.about))):
            bring_up(items, j, now, clock)
            copy_row(j, items, x, clock, settings, now)


@numba.njit(inline="always")
def prepare(b, x, settings):
    """Copy query ``b`` to bytes; find the least product of bytes with which an item can reach the smallest margin."""
    q, q8, dim = x.query[b], x.query_bytes[b], x.query.shape[1]
    # 1. the query in bytes
    highest = largest(q, dim)
    if not highest > np.float32(0):
        x.least[b] = np.int32(_HIGHEST)
        return
    step, factor = highest / _SCALE, _SCALE / highest
    for d in range(dim):
        q8[d] = np.int8(np.int32(np.floor(q[d] * factor + np.float32(0.5))))
    total = np.int32(0)
    for d in range(dim):
        total += np.int32(q8[d])
    rest = np.float32(0)
    for d in range(dim):
        off = q[d] - step * np.float32(q8[d])
        rest += off * off
    # 2. the bound, if all rows had drifted as far as they may
    rounding = np.float32(0.5) * np.sqrt(np.float32(dim)) / _SCALE
    norm = np.sqrt(dot(q, q)) * _ABOVE
    far = np.sqrt(rest) * (np.float32(1) + rounding) * _ABOVE
    unit = step / _SCALE  # of a product
    offset = np.float32(_ZERO_BYTE * total)
    reach = settings.margins[0] * np.float32(2 - _ABOVE) - far - norm * (rounding + _turn(settings) * settings.still)
    limit = np.float64(reach / unit + offset) - 1.0
    x.least[b] = np.int32(min(max(np.floor(limit), _LOWEST), _HIGHEST))
    bound = x.bound[b]
    bound[0], bound[1], bound[2], bound[3] = unit, offset, norm, far


@numba.njit(inline="always")
def _turn(settings):
    """Return how far a row's direction turns, per relative distance from its copy, at most."""
    return np.float32(2) * _ABOVE / (np.float32(2) - settings.still)


@numba.njit(inline="always")
def screen(thread, turn, b, count, items, x, clock, settings, now):
    """Append row ``b``'s drawn items that may score above the smallest margin to the thread's ``count`` candidates.

    Return how many these are then.
    """
    drawn, products, result = x.negatives[thread, turn], x.products[thread], x.candidates[thread]
    n, width = settings.n_negatives, x.bytes.shape[1]
    # 1. all products; what follows the draws are zeros
    least, q8 = x.least[b], x.query_bytes[b]
    products[:] = 0
    for start in range(0, n, 4):
        fetch_drawn(x.bytes, width, drawn, start + AHEAD)
        for part in range(0, width, BYTES):
            dot_drawn(x.bytes, width, drawn, start, q8, part, products)
    padded = (n + BLOCK - 1) // BLOCK * BLOCK
    for k in range(n, padded):
        products[k] = np.int32(_LOWEST)
    # 2. those that reach the margin, if all rows had drifted as far as they may
    near = 0
    for start in range(0, padded, BLOCK):
        reached = False
        for k in range(start, start + BLOCK):
            reached |= products[k] >= least
        if reached:
            for k in range(start, start + BLOCK):
                if products[k] >= least and k < n:
                    j = np.int64(drawn[k])
                    result[count + near], products[near] = j, products[k]
                    near += 1
                    fetch(items.last, j)
                    fetch(items.applied, j)
                    fetch_row(x.about, 4 * j, 1)
    # 3. those that still do with their own drift and rounding
    unit, offset, norm, far = x.bound[b, 0], x.bound[b, 1], x.bound[b, 2], x.bound[b, 3]
    margin, turning = settings.margins[0] * np.float32(2 - _ABOVE), _turn(settings)
    begin = count
    for k in range(near):
        j = np.int64(result[begin + k])
        away = abs(missing_drift(items.last, items.applied, j, now, clock) - x.about[j, 0])
        off = norm * (turning * away * x.about[j, 1] + x.about[j, 2]) + far
        if (np.float32(products[k]) - offset) * unit + off >= margin:
            result[count] = j
            count += 1
    return count
