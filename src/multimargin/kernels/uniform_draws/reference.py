"""The definition, in NumPy."""

import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.draws import below_reference, bits_reference


def uniform_draws(
    users: NDArray[np.int64],
    n: int,
    key: int,
    offset: int,
    n_items: int,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Return (B, N) item indices; arguments as in the launcher."""
    result = np.empty((len(users), n), dtype=np.int64)
    for row, user in enumerate(users):
        seen = (
            indices[indptr[user] : indptr[user + 1]].astype(np.int64)
            if len(indptr) > 1
            else np.empty(0, dtype=np.int64)
        )
        counters = np.uint64((offset + row) * n) + np.arange(n, dtype=np.uint64)  # (N,)
        rank = below_reference(bits_reference(key, counters), np.uint64(n_items - len(seen)))  # (N,) among the unseen
        unseen_before = seen - np.arange(len(seen))
        result[row] = rank + np.searchsorted(unseen_before, rank, side="right")
    return result
