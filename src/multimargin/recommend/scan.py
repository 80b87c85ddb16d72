"""The compiled half of ``top_k``: a tile of screened scores in, heaps of exact scores kept.

A heap holds uint64 keys that order like (score, then lower item index), lowest on top; 0 is an empty place.
"""

import numba
import numpy as np
from numpy.typing import NDArray

CHUNK = 64  # items that share an int8 step and a bound, and are tested together


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
def scan(  # type: ignore[no-untyped-def]
    product, largest, start, users, vectors, item_index, user_bounds, chunk_bounds, seen, lowest, keys
):
    """Offer to each user's heap of ``keys`` (b, k) what the screened tile ``product`` (b, t) does not rule out."""
    unit, rounded_length, user_residual, slack = user_bounds  # (b,) each
    chunk_unit, chunk_residual, chunk_length = chunk_bounds  # (n_chunks,) each
    indptr, indices, rows = seen
    n_chunks = product.shape[1] // CHUNK
    limits = np.empty(n_chunks, product.dtype)  # writing to it casts; towards zero is the safe side for whole numbers
    passes = np.empty(CHUNK, np.uint8)
    eight_passes = passes.view(np.uint64)
    passing = np.empty(product.shape[1], np.int64)
    near = np.empty(product.shape[1], np.float32)
    exact = np.empty(1, np.float32)
    exact_bits = exact.view(np.uint32)
    for user in range(product.shape[0]):
        # 1. each chunk's least screened value with which a pair can still reach the list
        for chunk in range(n_chunks):
            place = start // CHUNK + chunk
            error = rounded_length[user] * chunk_residual[place] + user_residual[user] * chunk_length[place]
            least = (lowest[user] - error) * unit[user] * chunk_unit[place]
            least = least if least > -largest else -largest
            limits[chunk] = least if least < largest else largest
        # 2. which pairs pass: a count without branches, then positions where the count is not 0
        n_passing = 0
        for chunk in range(n_chunks):
            at = chunk * CHUNK
            limit = limits[chunk]
            count = 0
            for offset in range(CHUNK):
                count += product[user, at + offset] >= limit
            if count == 0:
                continue
            for offset in range(CHUNK):
                passes[offset] = product[user, at + offset] >= limit
            for word in range(CHUNK // 8):  # eight flags at a time, as most are 0
                if eight_passes[word] == 0:
                    continue
                for offset in range(8 * word, 8 * word + 8):
                    if passes[offset] != 0:
                        passing[n_passing] = start + at + offset
                        n_passing += 1
        # 3. their scores in float32, without branches, so that the processor fetches many rows at once
        for each in range(n_passing):
            near[each] = _near(users, user, vectors, passing[each])
        # 4. near enough? seen? then the exact score
        first, last = indptr[rows[user]], indptr[rows[user] + 1]
        for each in range(n_passing):
            position = passing[each]
            if near[each] < lowest[user] - slack[user] * chunk_length[position // CHUNK]:
                continue
            item = item_index[position]
            if item < 0 or _contains(indices, first, last, item):  # a row of padding, or a seen item
                continue
            exact[0] = np.float32(_exact(users, user, vectors, position)) + np.float32(0)  # -0 becomes 0
            key = _key(exact_bits[0], item)
            if key > keys[user, 0]:
                _replace_lowest(keys, user, key)
                if keys[user, 0] != 0:
                    exact_bits[0] = _bits(keys[user, 0])
                    lowest[user] = exact[0]


@numba.njit(inline="always")
def _key(score_bits, item):  # type: ignore[no-untyped-def]
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
def _contains(indices, first, last, item):  # type: ignore[no-untyped-def]
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
def _replace_lowest(keys, user, key):  # type: ignore[no-untyped-def]
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
