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
from multimargin.kernels.intrinsics import BYTES, at_least, dot_drawn, fetch, fetch_drawn, largest, lowest_bit
from multimargin.kernels.lazy_adam.cpu import bring_up, missing_drift
from multimargin.kernels.lazy_adam.schedule import NEVER
from multimargin.kernels.rows import TINY, dot, fetch_row
from multimargin.kernels.team import STRIDE

_ABOVE = np.float32(1.0001)  # further off than the rounding of a bound
_SCALE = np.float32(127)
_ZERO_BYTE = 128  # bytes of items are unsigned: 128 stands for 0
_ON, _BEFORE, _AFTER = range(3)
_SOON = 8  # candidates ahead of the one at work
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


@numba.njit(**STRIDE)
def copy_due(first_lane, last_lane, items, x, clock, settings, now):
    """Make the copies of these lanes' rows that are listed for step ``now`` anew."""
    for lane in range(first_lane, last_lane):
        copy_listed(lane, items, x, clock, settings, now)


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


@numba.njit(**STRIDE)
def copy_all(first_lane, last_lane, items, x, clock, settings, now):
    """Bring all rows of these lanes up to date and copy them."""
    for lane in range(first_lane, last_lane):
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
    reach = (
        settings.terms.margins[0] * np.float32(2 - _ABOVE) - far - norm * (rounding + _turn(settings) * settings.still)
    )
    limit = np.float64(reach / unit + offset) - 1.0
    x.least[b] = np.int32(min(max(np.floor(limit), _LOWEST), _HIGHEST))
    bound = x.bound[b]
    bound[0], bound[1], bound[2], bound[3] = unit, offset, norm, far


@numba.njit(inline="always")
def _turn(settings):
    """Return how far a row's direction turns, per relative distance from its copy, at most."""
    return np.float32(2) * _ABOVE / (np.float32(2) - settings.still)


@numba.njit(inline="always")
def screen(thread, turn, b, count, x, settings):
    """Append row ``b``'s drawn items that may score above the smallest margin to the thread's ``count`` candidates.

    They would, had all rows drifted as far as they may. Return how many candidates there are then.
    """
    drawn, products = x.negatives[thread, turn], x.products[thread]
    items, found = x.candidates[thread], x.candidate_products[thread]
    n, width, least, q8 = settings.n_negatives, x.bytes.shape[1], x.least[b], x.query_bytes[b]
    products[:] = 0
    for start in range(0, n, 4):  # what follows the draws are zeros
        fetch_drawn(x.bytes, width, drawn, start + AHEAD)
        for part in range(0, width, BYTES):
            dot_drawn(x.bytes, width, drawn, start, q8, part, products)
    for start in range(0, n, BLOCK):
        bits = at_least(products, start, least)  # type: ignore[call-arg]
        if n - start < BLOCK:
            bits &= (1 << (n - start)) - 1
        while bits:
            k = start + lowest_bit(bits)  # type: ignore[call-arg]
            bits &= bits - 1
            items[count], found[count] = drawn[k], products[k]
            count += 1
    return count


@numba.njit(inline="always")
def confirm(thread, first, last, items, x, clock, settings, now):
    """Strike from the candidates of rows ``first`` to ``last`` those that their own drift and rounding rule out."""
    listed, products = x.candidates[thread], x.candidate_products[thread]
    margin, turning = settings.terms.margins[0] * np.float32(2 - _ABOVE), _turn(settings)
    start, count = 0, 0
    for b in range(first, last):
        stop = x.candidates_end[b]
        unit, offset, norm, far = x.bound[b, 0], x.bound[b, 1], x.bound[b, 2], x.bound[b, 3]
        for k in range(start, stop):
            ahead = np.int64(listed[k + _SOON])  # beyond the end: any item
            fetch(items.last, ahead)
            fetch(items.applied, ahead)
            fetch_row(x.about, 4 * ahead, 1)
            j = np.int64(listed[k])
            away = abs(missing_drift(items.last, items.applied, j, now, clock) - x.about[j, 0])
            off = norm * (turning * away * x.about[j, 1] + x.about[j, 2]) + far
            if (np.float32(products[k]) - offset) * unit + off >= margin:
                listed[count] = j
                count += 1
        x.candidates_end[b] = count
        start = stop
