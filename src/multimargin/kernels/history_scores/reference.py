"""The definition, in NumPy."""

import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.history_scores import Weights


def history_scores(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], weights: Weights, bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (b, J) scores; arguments as in the launcher."""
    dense = weights if isinstance(weights, np.ndarray) else weights.toarray()
    result = np.empty((len(indptr) - 1, dense.shape[1]), dtype=np.float32)
    for row in range(len(result)):
        total = np.zeros(dense.shape[1])
        for item in indices[indptr[row] : indptr[row + 1]]:
            total += dense[item].astype(np.float64)
        result[row] = total + bias.astype(np.float64)
    return result
