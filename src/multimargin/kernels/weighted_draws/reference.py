"""The definition, in NumPy and Python's whole numbers."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.draws import bits_reference

if TYPE_CHECKING:
    from multimargin.kernels.weighted_draws import WeightedItems


def weighted_draws(
    users: NDArray[np.int64], n: int, key: int, offset: int, items: "WeightedItems"
) -> NDArray[np.int64]:
    """Return (B, N) item indices; arguments as in the launcher."""
    result = np.empty((len(users), n), dtype=np.int64)
    for row, user in enumerate(users):
        weights = items.weights.copy()
        if len(items.indptr) > 1:
            weights[items.indices[items.indptr[user] : items.indptr[user + 1]]] = 0
        upto = np.cumsum(weights)  # (I,)
        counters = np.uint64((offset + row) * n) + np.arange(n, dtype=np.uint64)  # (N,)
        ranks = [(int(bits) * int(upto[-1])) >> 64 for bits in bits_reference(key, counters)]
        result[row] = np.searchsorted(upto, ranks, side="right")
    return result
