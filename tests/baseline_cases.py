"""Small interactions for baselines: users and items without any, one of each that touches nearly all."""

import numpy as np
import scipy.sparse

from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary


def some_interactions(n_users=29, n_items=37, seed=5):
    """Return interactions in which item 5 and user 3 have none, item 0 nearly everybody, user 1 nearly everything."""
    rng = np.random.default_rng(seed)
    touched = rng.random((n_users, n_items)) < 0.2 * rng.random(n_items) + 0.05
    touched[:, 0], touched[1] = True, True
    touched[7, 0], touched[1, 11] = False, False
    touched[:, 5], touched[3] = False, False
    users, items = np.nonzero(touched)
    return Interactions.from_pairs(users, items, Vocabulary.range(n_users), Vocabulary.range(n_items))


def dense(log):
    """Return (U, I) zeros and ones."""
    table = np.zeros((log.n_users, log.n_items))
    table[log.user_index, log.indices] = 1
    return table


def rows_of(table):
    """Return the bounds and indices of a matrix of zeros and ones."""
    rows = scipy.sparse.csr_array(table)
    rows.sort_indices()
    return rows.indptr.astype(np.int64), rows.indices.astype(np.int32)


def best(scores, k, hidden, listed=None, *, zeros=True):
    """Return the k best of one row of scores by a plain loop, ties by lower index."""
    items = [
        item
        for item in range(len(scores))
        if item not in hidden and (listed is None or item in listed) and (zeros or scores[item] != 0)
    ]
    return sorted(items, key=lambda item: (-scores[item], item))[:k]
