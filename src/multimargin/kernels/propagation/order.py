"""The order in which rows are visited: those with the same neighbours one after the other, which then lie in the cache.

Users and items are put on a map by the graph's leading directions (random walks that mix slowly tell regions apart),
and the map is cut in two, along its widest side, again and again. On Gowalla it takes a third off a product's time.
"""

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

_DIRECTIONS, _ROUNDS = 8, 8
_GROUP = 512  # rows that are left in the order of their numbers
_SMALL = 8_192  # rows in all that lie in the cache anyway


def visiting_order(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], n_items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all users and all items, each in the order in which they are to be visited."""
    n_users = len(indptr) - 1
    if n_users + n_items <= _SMALL:
        return np.arange(n_users), np.arange(n_items)
    degrees = np.diff(indptr), np.bincount(indices, minlength=n_items)
    by_user, by_item = (1 / np.sqrt(np.maximum(each, 1)).astype(np.float32) for each in degrees)
    ones = np.ones(len(indices), dtype=np.float32)
    matrix = scipy.sparse.csr_array((ones, indices, indptr), (n_users, n_items))
    # 1. subspace iteration
    items = np.random.default_rng(0).standard_normal((n_items, _DIRECTIONS), dtype=np.float32)
    for _ in range(_ROUNDS):
        users = by_user[:, None] * (matrix @ (by_item[:, None] * items))
        items, _ = np.linalg.qr(by_item[:, None] * (matrix.T @ (by_user[:, None] * users)))
    users = by_user[:, None] * (matrix @ (by_item[:, None] * items))
    # 2. places of the random walk; the first direction is the degree
    places = np.concatenate((users * by_user[:, None], items * by_item[:, None]))[:, 1:]
    places /= np.maximum(places.std(axis=0), np.float32(1e-12))
    # 3. halves of halves
    groups = [np.arange(n_users + n_items)]
    while len(groups[0]) > _GROUP:
        groups = [half for group in groups for half in _halves(group, places)]
    order = np.concatenate(groups)
    return order[order < n_users], order[order >= n_users] - n_users


def _halves(group: NDArray[np.int64], places: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    own = places[group]
    sorted_group = group[np.argsort(own[:, own.std(axis=0).argmax()], kind="stable")]
    middle = (len(group) + 1) // 2  # the first stays the largest
    return sorted_group[:middle], sorted_group[middle:]
