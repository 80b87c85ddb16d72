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

from multimargin.kernels.fused_epoch.records import AHEAD, BLOCK, DAYS, LANES
from multimargin.kernels.intrinsics import BYTES, dot_drawn, fetch, fetch_drawn
from multimargin.kernels.lazy_adam.cpu import bring_up, missing_drift
from multimargin.kernels.lazy_adam.schedule import NEVER
from multimargin.kernels.rows import TINY, dot, fetch_row

_ABOVE = np.float32(1.0001)  # further off than the rounding of a bound
_SCALE = np.float32(127)
_ZERO_BYTE = 128  # bytes of items are unsigned: 128 stands for 0
_LOWEST, _HIGHEST = -(2.0**31), 2.0**31 - 1


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
    size = np.sqrt(dot(e, e))
    farthest = settings.still * (one - settings.still) * np.sqrt(dot(w, w)) / max(size, TINY)  # in units of drift
    middle = min(np.float32(0.5) * left, farthest)
    square = np.float32(0)
    for d in range(len(w)):
        value = w[d] - middle * e[d]
        square += value * value
    inverse = one / max(np.sqrt(square), TINY)
    # 2. bytes, and how far they are off
    factor = inverse * _SCALE
    for d in range(len(w)):
        copy[d] = np.uint8(np.int32((w[d] - middle * e[d]) * factor + np.float32(_ZERO_BYTE + 0.5)))
    off = np.float32(0)
    for d in range(len(w)):
        difference = (w[d] - middle * e[d]) * factor - np.float32(np.int32(copy[d]) - _ZERO_BYTE)
        off += difference * difference
    about[0], about[1], about[2] = middle, size * inverse, np.sqrt(off) * (_ABOVE / _SCALE)
    # 3. the step at which it may be too far away
    _strike(j, x)
    if left > np.float32(2) * middle:
        steps = np.log(1 - 2 * np.float64(middle) / left) / np.log(clock.power[1])
        _list(j, now + 1 + min(np.int64(steps), DAYS - 2), x)


@numba.njit(inline="always")
def _list(j, step, x):
    """Put item ``j`` on the list of ``step``, less than ``DAYS`` steps from now."""
    place = step % DAYS * LANES + j % LANES
    after = x.first_listed[place]
    x.listed_on[j], x.listed_before[j], x.listed_after[j] = place, -1, after
    if after >= 0:
        x.listed_before[after] = j
    x.first_listed[place] = j


@numba.njit(inline="always")
def _strike(j, x):
    """Take item ``j`` off the list it is on, if any."""
    place = x.listed_on[j]
    if place >= 0:
        before, after = x.listed_before[j], x.listed_after[j]
        if before >= 0:
            x.listed_after[before] = after
        else:
            x.first_listed[place] = after
        if after >= 0:
            x.listed_before[after] = before
        x.listed_on[j] = -1


@numba.njit(inline="always")
def copy_listed(lane, items, x, clock, settings, now):
    """Make the copies of this lane's rows that are listed for step ``now`` anew."""
    j = np.int64(x.first_listed[now % DAYS * LANES + lane])
    while j >= 0:
        after = np.int64(x.listed_after[j])
        bring_up(items, j, now, clock)
        copy_row(j, items, x, clock, settings, now)
        j = after


@numba.njit(inline="always")
def copy_all(lane, items, x, clock, settings, now):
    """Bring all rows of this lane up to date and copy them."""
    for j in range(lane, len(x.about), LANES):
        bring_up(items, j, now, clock)
        copy_row(j, items, x, clock, settings, now)


@numba.njit(inline="always")
def screen(thread, turn, b, q, items, x, clock, settings, now):
    """Write the drawn items that may score above the smallest margin behind the positive; return how many they are."""
    drawn, products, result = x.negatives[thread, turn], x.products[thread], x.pair_item[b, 1:]
    n, dim, width = settings.n_negatives, len(q), x.bytes.shape[1]
    # 1. the query in bytes
    largest = np.float32(0)
    for d in range(dim):
        largest = max(largest, abs(q[d]))
    if not largest > np.float32(0):
        return 0
    q8, step, factor = x.query_bytes[thread], largest / _SCALE, _SCALE / largest
    for d in range(dim):
        q8[d] = np.int8(np.int32(np.floor(q[d] * factor + np.float32(0.5))))
    total = np.int32(0)
    rest = np.float32(0)
    for d in range(dim):
        total += np.int32(q8[d])
        off = q[d] - step * np.float32(q8[d])
        rest += off * off
    # 2. the least product of bytes with which an item can reach the margin
    rounding = np.float32(0.5) * np.sqrt(np.float32(dim)) / _SCALE
    norm = np.sqrt(dot(q, q)) * _ABOVE
    turn = np.float32(2) * _ABOVE / (np.float32(2) - settings.still)
    far = np.sqrt(rest) * (np.float32(1) + rounding) * _ABOVE
    margin = settings.margins[0] * np.float32(2 - _ABOVE)
    unit = step / _SCALE  # of a product
    offset = np.float32(_ZERO_BYTE * total)
    limit = np.float64((margin - far - norm * (rounding + turn * settings.still)) / unit + offset) - 1.0
    least = np.int32(min(max(np.floor(limit), _LOWEST), _HIGHEST))
    # 3. all products; what follows the draws are zeros
    padded = len(products)
    products[:] = 0
    for start in range(0, n, 4):
        fetch_drawn(x.bytes, width, drawn, start + AHEAD)
        for part in range(0, width, BYTES):
            dot_drawn(x.bytes, width, drawn, start, q8, part, products)
    for k in range(n, padded):
        products[k] = np.int32(_LOWEST)
    # 4. those that reach, if all rows had drifted as far as they may
    candidates = 0
    for start in range(0, padded, BLOCK):
        reached = False
        for k in range(start, start + BLOCK):
            reached |= products[k] >= least
        if reached:
            for k in range(start, start + BLOCK):
                if products[k] >= least:
                    j = np.int64(drawn[k])
                    result[candidates], products[candidates] = j, products[k]
                    candidates += 1
                    fetch(items.last, j)
                    fetch(items.applied, j)
                    fetch_row(x.about, 4 * j, 1)
    # 5. those that still do with their own drift and rounding
    count = 0
    for k in range(candidates):
        j = np.int64(result[k])
        missing = missing_drift(items.last, items.applied, j, now, clock)
        about = x.about[j]
        near = norm * (turn * abs(missing - about[0]) * about[1] + about[2]) + far
        if (np.float32(products[k]) - offset) * unit + near >= margin:
            result[count] = j
            count += 1
            fetch_row(items.vectors, j * dim, dim)
            if missing != np.float32(0):
                fetch_row(items.moments, (3 * j + 2) * dim, dim)
    return count
