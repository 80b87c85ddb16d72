"""The best of scores that are there already: one pass, a heap of k, seen items by binary search."""

import numba
import numpy as np
from numpy.typing import NDArray

from multimargin.recommend.scan import contains, key_of, replace_lowest, unpack


def best_scores(
    scores: NDArray[np.float32],
    k: int,
    seen: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]],
    listed: NDArray[np.bool_],
    *,
    zeros: bool = True,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return indices (b, k) and scores (b, k) of the best of ``scores`` (b, J), ties by lower index.

    Args:
        scores: (b, J) float32, finite.
        k: length of the lists; where fewer remain they are padded with -1 and -inf.
        seen: bounds, indices, and the row of each user: what is left out.
        listed: (J,) what may be listed.
        zeros: whether a score of exactly 0 may be listed.
    """
    keys = np.zeros((len(scores), k), dtype=np.uint64)
    _offer(scores, scores.view(np.uint32), seen, listed, zeros, keys)
    return unpack(np.sort(keys, axis=1)[:, ::-1])


@numba.njit(nogil=True, cache=True)
def _offer(scores, score_bits, seen, listed, zeros, keys):  # type: ignore[no-untyped-def]
    indptr, indices, rows = seen
    for row in range(len(scores)):
        first, last = indptr[rows[row]], indptr[rows[row] + 1]
        lowest = np.float32(-np.inf)
        for item in range(scores.shape[1]):
            if not scores[row, item] >= lowest or not listed[item]:
                continue
            bits = score_bits[row, item]
            if scores[row, item] == 0:
                if not zeros:
                    continue
                bits = np.uint32(0)  # -0 is 0
            if contains(indices, first, last, item):
                continue
            key = key_of(bits, item)
            if key > keys[row, 0]:
                replace_lowest(keys, row, key)
                if keys[row, 0] != 0:
                    lowest = scores[row, np.uint64(0xFFFFFFFF) - (keys[row, 0] & np.uint64(0xFFFFFFFF))]
