"""The definition, in NumPy: coordinate descent over every item."""

import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.filtered_scores import Graph


def sparse_regression(
    graph: Graph, k: int, l1: float, l2: float, sweeps: int, tolerance: float
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return indices and weights, (I, k) each; arguments as in the launcher."""
    n_users, n_items = len(graph.user_starts) - 1, len(graph.item_starts) - 1
    touched = np.zeros((n_users, n_items))
    for user in range(n_users):
        touched[user, graph.items[graph.user_starts[user] : graph.user_starts[user + 1]]] = 1
    counts = touched.sum(0)
    index, value = np.full((n_items, k), -1, dtype=np.int32), np.zeros((n_items, k), dtype=np.float32)
    for item in range(n_items):
        weights, residual = np.zeros(n_items), touched[:, item].copy()
        for _ in range(sweeps):
            moved = 0.0
            for other in range(n_items):
                if other == item or counts[other] == 0:
                    continue
                pull = touched[:, other] @ residual + counts[other] * weights[other]
                new = max(0.0, (pull - l1) / (counts[other] + l2))
                residual -= (new - weights[other]) * touched[:, other]
                moved = max(moved, abs(new - weights[other]))
                weights[other] = new
            if moved <= tolerance * weights.max(initial=0):
                break
        kept = weights.astype(np.float32)
        best = [j for j in np.argsort(-kept, kind="stable")[:k] if kept[j] > 0]
        index[item, : len(best)], value[item, : len(best)] = best, kept[best]
    return index, value
