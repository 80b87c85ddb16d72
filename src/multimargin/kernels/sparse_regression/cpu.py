"""The compiled form: the companions of one item, their weights, and the residual of its users."""

import numba
import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.filtered_scores import Graph
from multimargin.kernels.item_neighbours.cpu import comes_before
from multimargin.kernels.team import TOGETHER, run_together, threads_for


@numba.njit(**TOGETHER)
def _fill(thread, threads, cells, graph, settings, all_weights, all_residuals, all_companions, index, value):
    user_starts, items, item_starts, users = graph
    l1, l2, sweeps, tolerance = settings
    weights, residual, companions = all_weights[thread], all_residuals[thread], all_companions[thread]
    k = index.shape[1]
    for item in range(thread, len(index), threads):
        # 1. who shares a user with the item; -1 marks who is listed
        n_companions = 0
        for place in range(item_starts[item], item_starts[item + 1]):
            user = users[place]
            residual[user] = 1
            for each in range(user_starts[user], user_starts[user + 1]):
                other = items[each]
                if other != item and weights[other] == 0:
                    weights[other] = -1
                    companions[n_companions] = other
                    n_companions += 1
        for each in range(n_companions):
            weights[companions[each]] = 0
        # 2. coordinate descent
        for _ in range(sweeps):
            moved = largest = 0.0
            for each in range(n_companions):
                other = companions[each]
                first, last = item_starts[other], item_starts[other + 1]
                pull = 0.0
                for place in range(first, last):
                    pull += residual[users[place]]
                count = np.float64(last - first)
                new = max(0.0, (pull + count * weights[other] - l1) / (count + l2))
                change = new - weights[other]
                if change != 0:
                    for place in range(first, last):
                        residual[users[place]] -= change
                    weights[other] = new
                    moved = max(moved, abs(change))
                largest = max(largest, new)
            if moved <= tolerance * largest:
                break
        # 3. the k largest in order; all is 0 again for the next item
        found = 0
        for each in range(n_companions):
            other = companions[each]
            weight = np.float32(weights[other])
            weights[other] = 0
            for place in range(item_starts[other], item_starts[other + 1]):
                residual[users[place]] = 0
            if not weight > 0 or (
                found == k and not comes_before(weight, other, value[item, k - 1], index[item, k - 1])
            ):
                continue
            place = min(found, k - 1)
            found = min(found + 1, k)
            while place > 0 and comes_before(weight, other, value[item, place - 1], index[item, place - 1]):
                value[item, place], index[item, place] = value[item, place - 1], index[item, place - 1]
                place -= 1
            value[item, place], index[item, place] = weight, other
        for place in range(item_starts[item], item_starts[item + 1]):
            residual[users[place]] = 0


def sparse_regression(
    graph: Graph, k: int, l1: float, l2: float, sweeps: int, tolerance: float
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return indices and weights, (I, k) each; arguments as in the launcher."""
    n_users, n_items = len(graph.user_starts) - 1, len(graph.item_starts) - 1
    threads = threads_for(10_000 * len(graph.items))
    index, value = np.full((n_items, k), -1, dtype=np.int32), np.zeros((n_items, k), dtype=np.float32)
    run_together(
        threads, _fill, (graph.user_starts, graph.items, graph.item_starts, graph.users),
        (float(l1), float(l2), sweeps, float(tolerance)), np.zeros((threads, n_items)), np.zeros((threads, n_users)),
        np.empty((threads, n_items), dtype=np.int32), index, value,
    )  # fmt: skip
    return index, value
