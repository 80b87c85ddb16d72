"""The compiled form: a row of float64 sums in the cache, to which the rows of a history are added."""

import numba
import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.history_scores import Weights


@numba.njit(nogil=True, cache=True)
def _from_sparse(indptr, indices, starts, columns, values, bias, total, result):
    for row in range(len(indptr) - 1):
        total[:] = 0
        for place in range(indptr[row], indptr[row + 1]):
            item = indices[place]
            for entry in range(starts[item], starts[item + 1]):
                total[columns[entry]] += np.float64(values[entry])
        for column in range(len(total)):
            result[row, column] = np.float32(total[column] + np.float64(bias[column]))


@numba.njit(nogil=True, cache=True)
def _from_dense(indptr, indices, weights, bias, total, result):
    for row in range(len(indptr) - 1):
        total[:] = 0
        for place in range(indptr[row], indptr[row + 1]):
            item = indices[place]
            for column in range(len(total)):
                total[column] += np.float64(weights[item, column])
        for column in range(len(total)):
            result[row, column] = np.float32(total[column] + np.float64(bias[column]))


def history_scores(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], weights: Weights, bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (b, J) scores; arguments as in the launcher."""
    total = np.empty(weights.shape[1])
    result = np.empty((len(indptr) - 1, weights.shape[1]), dtype=np.float32)
    if isinstance(weights, np.ndarray):
        _from_dense(indptr, indices, weights, bias, total, result)
    else:
        _from_sparse(indptr, indices, weights.indptr, weights.indices, weights.data, bias, total, result)
    return result
