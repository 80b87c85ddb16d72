"""The definition, in NumPy, with an items x items matrix."""

import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.filtered_scores import Graph


def item_neighbours(
    graph: Graph, k: int, measure: str, shrinkage: float
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return indices and similarities, (I, k) each; arguments as in the launcher."""
    n_users, n_items = len(graph.user_starts) - 1, len(graph.item_starts) - 1
    touched = np.zeros((n_users, n_items))
    for user in range(n_users):
        touched[user, graph.items[graph.user_starts[user] : graph.user_starts[user + 1]]] = 1
    common, counts = touched.T @ touched, touched.sum(0)
    one, other = counts[:, None], counts[None]
    with np.errstate(invalid="ignore", divide="ignore"):
        if measure == "cosine":
            similarity = common / (np.sqrt(one * other) + shrinkage)
        elif measure == "jaccard":
            similarity = common / (one + other - common + shrinkage)
        else:
            deviations = np.sqrt(one * (n_users - one) * (other * (n_users - other)))
            similarity = (n_users * common - one * other) / (deviations + shrinkage)
    similarity = np.where((common > 0) & np.isfinite(similarity), similarity, 0).astype(np.float32)
    np.fill_diagonal(similarity, 0)
    index, value = np.full((n_items, k), -1, dtype=np.int32), np.zeros((n_items, k), dtype=np.float32)
    for item in range(n_items):
        best = [j for j in np.argsort(-similarity[item], kind="stable")[:k] if similarity[item, j] > 0]
        index[item, : len(best)], value[item, : len(best)] = best, similarity[item, best]
    return index, value
