"""The definition, in NumPy, with an items x items matrix."""

import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.filtered_scores import Filter, Graph


def filtered_scores(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], graph: Graph, factors: Filter
) -> NDArray[np.float32]:
    """Return (b, I) scores; arguments as in the launcher."""
    n_users, n_items = len(graph.user_starts) - 1, len(graph.item_starts) - 1
    touched = np.zeros((n_users, n_items))
    for user in range(n_users):
        touched[user, graph.items[graph.user_starts[user] : graph.user_starts[user + 1]]] = 1
    per_user, per_item = touched.sum(1), touched.sum(0)
    halves = np.where(per_item > 0, 1 / np.sqrt(np.maximum(per_item, 1)), 0)
    operator = halves[:, None] * (touched.T @ (touched / np.maximum(per_user, 1)[:, None])) * halves  # A (I, I)
    shifted = np.eye(n_items) - 2 * operator
    histories = np.zeros((len(indptr) - 1, n_items))
    for row in range(len(histories)):
        histories[row, indices[indptr[row] : indptr[row + 1]]] = 1
    alive = per_item > 0
    old, new = np.zeros_like(histories), histories * factors.before * alive
    total = factors.coefficients[0] * new
    for k, coefficient in enumerate(factors.coefficients[1:]):
        old, new = new, (new @ shifted if k == 0 else 2 * new @ shifted - old)
        total = total + coefficient * new
    low = histories @ factors.left.astype(np.float64) @ factors.right.T.astype(np.float64)
    result: NDArray[np.float32] = (total * factors.after * alive + low).astype(np.float32)
    return result
