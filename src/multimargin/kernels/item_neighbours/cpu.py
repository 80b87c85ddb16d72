"""The compiled form: counts of one item's companions in a row, then a heap of the k most similar."""

import numba
import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.filtered_scores import Graph
from multimargin.kernels.item_neighbours import MEASURES
from multimargin.kernels.team import TOGETHER, run_together, threads_for

_COSINE, _JACCARD, _PEARSON = range(3)


@numba.njit(inline="always")
def _similarity(measure, common, one, other, n_users, shrinkage):
    """Return the similarity of two items from counts, all float64."""
    if measure == _COSINE:
        return common / (np.sqrt(one * other) + shrinkage)
    if measure == _JACCARD:
        return common / (one + other - common + shrinkage)
    deviations = np.sqrt(one * (n_users - one) * (other * (n_users - other))) + shrinkage
    return (n_users * common - one * other) / deviations if deviations > 0 else 0.0


@numba.njit(inline="always")
def comes_before(value, item, other_value, other_item):
    """Return whether an item with its value is ahead of another: larger first, ties by lower index."""
    return value > other_value or (value == other_value and item < other_item)


# not fastmath: a square root of its own would round another way than the definition's
@numba.njit(**{**TOGETHER, "fastmath": False})
def _fill(thread, threads, cells, graph, measure, shrinkage, counts, companions, index, value):
    user_starts, items, item_starts, users = graph
    n_users, k = np.float64(len(user_starts) - 1), index.shape[1]
    mine, others = counts[thread], companions[thread]
    for item in range(thread, len(index), threads):
        # 1. who was touched by the same users, how often
        n_others = 0
        for place in range(item_starts[item], item_starts[item + 1]):
            user = users[place]
            for each in range(user_starts[user], user_starts[user + 1]):
                other = items[each]
                if mine[other] == 0:
                    others[n_others] = other
                    n_others += 1
                mine[other] += 1
        # 2. the k most similar, kept in order
        one, found = np.float64(item_starts[item + 1] - item_starts[item]), 0
        for each in range(n_others):
            other = others[each]
            common = np.float64(mine[other])
            mine[other] = 0
            if other == item:
                continue
            count = np.float64(item_starts[other + 1] - item_starts[other])
            similarity = np.float32(_similarity(measure, common, one, count, n_users, shrinkage))
            if not similarity > 0:
                continue
            if found == k:
                if not comes_before(similarity, other, value[item, k - 1], index[item, k - 1]):
                    continue
                place = k - 1
            else:
                place = found
                found += 1
            while place > 0 and comes_before(similarity, other, value[item, place - 1], index[item, place - 1]):
                value[item, place], index[item, place] = value[item, place - 1], index[item, place - 1]
                place -= 1
            value[item, place], index[item, place] = similarity, other


def item_neighbours(
    graph: Graph, k: int, measure: str, shrinkage: float
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return indices and similarities, (I, k) each; arguments as in the launcher."""
    n_items = len(graph.item_starts) - 1
    threads = threads_for(100 * len(graph.items))
    counts, companions = (np.zeros((threads, n_items), dtype=np.int32) for _ in range(2))
    index, value = np.full((n_items, k), -1, dtype=np.int32), np.zeros((n_items, k), dtype=np.float32)
    arrays = graph.user_starts, graph.items, graph.item_starts, graph.users
    run_together(
        threads, _fill, arrays, MEASURES.index(measure), float(shrinkage), counts, companions, index, value
    )  # fmt: skip
    return index, value
