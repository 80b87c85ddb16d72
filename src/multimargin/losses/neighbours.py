"""The items that share the most users with each item, by UltraGCN's measure."""

import numpy as np
from numpy.typing import NDArray

from multimargin.losses.facts import Statistics

_ITEMS = 1024  # whose row of common users with all others is held at a time


def item_neighbours(statistics: Statistics, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    r"""Return the k items with the largest :math:`G_{ik} \sqrt{g_i + 1} / (g_i \sqrt{g_k + 1})` for each i, and these.

    :math:`G` counts common users, with the diagonal; :math:`g` sums its rows. Ties go to the lower item. An item with
    fewer than k others is filled up with item 0 and likeness 0.
    """
    from scipy.sparse import csr_array

    ones = np.ones(len(statistics.user_index))
    shape = statistics.n_users, statistics.n_items
    touched = csr_array((ones, (statistics.user_index, statistics.item_index)), shape=shape)  # (U, I)
    by_item = touched.T.tocsr()  # (I, U)
    totals = by_item @ (touched @ np.ones(statistics.n_items))  # (I,) g: each of its users brings all of theirs
    near, likeness = np.zeros((statistics.n_items, k), dtype=np.int64), np.zeros((statistics.n_items, k))
    for start in range(0, statistics.n_items, _ITEMS):
        common = (by_item[start : start + _ITEMS] @ touched).tocoo()  # (chunk, I)
        row, column = common.row.astype(np.int64), common.col.astype(np.int64)
        own = totals[start + row]
        value = common.data * np.sqrt(own + 1) / own / np.sqrt(totals[column] + 1)
        order = np.lexsort((column, -value, row))
        row, column, value = row[order], column[order], value[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        kept = place < k
        near[start + row[kept], place[kept]] = column[kept]
        likeness[start + row[kept], place[kept]] = value[kept]
    return near, likeness
