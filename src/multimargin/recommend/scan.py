"""The compiled half of ``top_k``: a tile of screened scores in, heaps of exact scores kept.

A heap holds uint64 keys that order like (score, then lower item index), lowest on top; 0 is an empty place.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.screening import CHUNK, GROUP, lowest_bit, peak, reach

_TILE = 8  # chunks at a time: 512 vectors of 64 float32 are 128 KiB, which stay in the second-level cache


def unpack(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return item indices and scores of ``keys``; -1 and -inf at empty places."""
    ordered = (keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(ordered >> np.uint32(31), ordered & np.uint32(0x7FFFFFFF), ~ordered)
    items = np.uint64(0xFFFFFFFF) - (keys & np.uint64(0xFFFFFFFF))
    return (
        np.where(keys == 0, -1, items.astype(np.int64)).astype(np.int32),
        np.where(keys == 0, np.float32(-np.inf), bits.view(np.float32)),
    )


@numba.njit(nogil=True, cache=True)
def rotate_rows(vectors, rotation, rotated, largest):  # type: ignore[no-untyped-def]
    """Write ``vectors @ rotation`` to ``rotated``, and each row's largest entry without its sign.

    A matrix library would bring threads of its own.
    """
    for row in range(vectors.shape[0]):
        for e in range(vectors.shape[1]):
            rotated[row, e] = 0
        for d in range(vectors.shape[1]):
            for e in range(vectors.shape[1]):
                rotated[row, e] += vectors[row, d] * rotation[d, e]
        most = np.float32(0)
        for e in range(vectors.shape[1]):
            most = max(most, abs(rotated[row, e]))
        largest[row] = most


@numba.njit(nogil=True, cache=True)
def round_rows(vectors, index, step, whole, lost):  # type: ignore[no-untyped-def]
    """Write rows ``index`` in whole steps, a ``step`` a row, to int8 ``whole``, and the length of what each loses."""
    for row in range(len(index)):
        for d in range(vectors.shape[1]):
            whole[row, d] = np.int8(_nearest(vectors[index[row], d], step[row]))
        lost[row] = np.sqrt(_square_lost(vectors, index[row], step[row]))


@numba.njit(nogil=True, cache=True)
def sample(screened, packed, chunks, user_bounds, chunk_bounds, less, peaks):  # type: ignore[no-untyped-def]
    """Raise ``peaks`` (b, 64) to what the scores of 64 items of ``chunks`` reach at least, in the user's steps."""
    unit, rounded_length, user_residual, shift = user_bounds  # (b,) each
    chunk_unit, chunk_residual, chunk_length = chunk_bounds  # (n_chunks,) each
    for chunk in chunks:
        for user in range(len(unit)):
            error = rounded_length[user] * chunk_residual[chunk] + user_residual[user] * chunk_length[chunk]
            less[user] = error * unit[user] + shift[user] / chunk_unit[chunk]
        for user in range(0, len(screened), GROUP):
            peak(screened, user, packed, chunk, np.float32(1 / chunk_unit[chunk]), less, peaks)


@numba.njit(nogil=True, cache=True)
def count_seen(sampled, seen, n_seen):  # type: ignore[no-untyped-def]
    """Count the items of ``sampled`` that each user has seen."""
    indptr, indices, rows = seen
    for user in range(len(rows)):
        n_seen[user] = 0
        for place in range(indptr[rows[user]], indptr[rows[user] + 1]):
            n_seen[user] += sampled[indices[place]]


@numba.njit(nogil=True, cache=True)
def scan(  # type: ignore[no-untyped-def]
    users, screened, items, user_bounds, slack, chunk_bounds, seen, beyond, limits, lowest, keys
):
    """Offer to each user's heap of ``keys`` (b, k) all items that the screen does not rule out."""
    vectors, item_index, packed = items
    unit, rounded_length, user_residual, shift = user_bounds  # (b,) each
    chunk_unit, chunk_residual, chunk_length = chunk_bounds  # (n_chunks,) each
    indptr, indices, rows = seen
    found = np.empty((len(screened), _TILE), np.uint64)
    passing = np.empty(_TILE * CHUNK, np.uint64)
    near = np.empty(_TILE * CHUNK, np.float32)
    exact = np.empty(1, np.float32)
    exact_bits = exact.view(np.uint32)
    start, size = 0, 1
    while start < len(packed):
        stop = min(start + size, len(packed))
        for chunk in range(start, stop):
            # 1. the least screened value with which a pair can still reach the list; a cast rounds to the safe side
            for user in range(len(users)):
                error = rounded_length[user] * chunk_residual[chunk] + user_residual[user] * chunk_length[chunk]
                least = (lowest[user] - error) * unit[user] * chunk_unit[chunk]
                least = least if least > -beyond else -beyond
                least = least if least < beyond else beyond
                limits[user] = least + shift[user]
            # 2. which pairs have it
            for user in range(0, len(screened), GROUP):
                reach(screened, user, packed, chunk, limits, found, chunk - start)
        for user in range(len(users)):
            # 3. where these are
            n_passing = np.uint64(0)
            for chunk in range(start, stop):
                bits = found[user, chunk - start]
                while bits != 0:
                    passing[n_passing] = np.uint64(chunk * CHUNK) + lowest_bit(bits)  # type: ignore[call-arg]
                    n_passing += np.uint64(1)  # type: ignore[unreachable]
                    bits &= bits - np.uint64(1)
            # 4. their scores in float32, without branches, so that the processor fetches many rows at once
            for each in range(n_passing):
                near[each] = _near(users, user, vectors, passing[each])
            # 5. near enough? seen? then the exact score
            first, last = indptr[rows[user]], indptr[rows[user] + 1]
            for each in range(n_passing):
                position = passing[each]
                if near[each] < lowest[user] - slack[user] * chunk_length[position // np.uint64(CHUNK)]:
                    continue
                item = item_index[position]
                if item < 0 or contains(indices, first, last, item):  # a row of padding, or a seen item
                    continue
                exact[0] = np.float32(_exact(users, user, vectors, position)) + np.float32(0)  # -0 becomes 0
                key = key_of(exact_bits[0], item)
                if key > keys[user, 0]:
                    replace_lowest(keys, user, key)
                    if keys[user, 0] != 0:
                        exact_bits[0] = _bits(keys[user, 0])
                        lowest[user] = exact[0]
        # the first tiles are small, for there the k-th score rises fast, and it is read once a tile
        start, size = stop, min(stop + size, _TILE)


@numba.njit(inline="always")
def _nearest(value, step):  # type: ignore[no-untyped-def]
    """Return the nearest of -127..127 steps; where steps are the least float32 there is, more may be asked for."""
    return min(max(np.rint(value / step), np.float32(-127)), np.float32(127))


@numba.njit(inline="always")
def key_of(score_bits, item):  # type: ignore[no-untyped-def]
    """Return a uint64 that orders like (score, -item); above 0 for every finite score."""
    negative = (score_bits >> np.uint32(31)) != 0
    ordered = np.uint64(~score_bits) if negative else np.uint64(score_bits | np.uint32(0x80000000))
    return (ordered << np.uint64(32)) | np.uint64(np.int64(0xFFFFFFFF) - np.int64(item))


@numba.njit(inline="always")
def _bits(key):  # type: ignore[no-untyped-def]
    """Return the float32 bits of a key's score."""
    ordered = np.uint32(key >> np.uint64(32))
    return ordered & np.uint32(0x7FFFFFFF) if ordered >> np.uint32(31) else ~ordered


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _square_lost(vectors, row, step):  # type: ignore[no-untyped-def]
    total = 0.0
    for d in range(vectors.shape[1]):
        left = vectors[row, d] - _nearest(vectors[row, d], step) * step
        total += np.float64(left) * np.float64(left)
    return total


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _near(users, user, items, item):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for d in range(users.shape[1]):
        total += users[user, d] * items[item, d]
    return total


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _exact(users, user, items, item):  # type: ignore[no-untyped-def]
    total = 0.0
    for d in range(users.shape[1]):
        total += np.float64(users[user, d]) * np.float64(items[item, d])
    return total


@numba.njit(nogil=True, cache=True)
def contains(indices, first, last, item):  # type: ignore[no-untyped-def]
    """Return whether ``item`` is in ``indices[first:last]``, which increase."""
    while first < last:
        middle = (first + last) >> 1
        if indices[middle] < item:
            first = middle + 1
        elif indices[middle] > item:
            last = middle
        else:
            return True
    return False


@numba.njit(nogil=True, cache=True)
def replace_lowest(keys, user, key):  # type: ignore[no-untyped-def]
    """Put ``key`` in the place of the lowest of the user's heap (lowest on top)."""
    size = keys.shape[1]
    place, below = 0, 1
    while below < size:
        if below + 1 < size:
            below += keys[user, below + 1] < keys[user, below]
        if keys[user, below] >= key:
            break
        keys[user, place] = keys[user, below]
        place, below = below, 2 * below + 1
    keys[user, place] = key
