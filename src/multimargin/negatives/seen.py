"""Who has seen what, and who has anything left."""

from typing import Never

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.errors import NoNegativesError

_TABLE = 1 << 22  # bytes of a table of users and items that costs less than searches do


def require_users(users: NDArray[np.int64], train: Interactions) -> None:
    """Raise unless every user index exists."""
    if len(users) and not 0 <= users.min() <= users.max() < train.n_users:
        checks.fail("users", f"be indices in [0, {train.n_users})", (int(users.min()), int(users.max())))


def nothing_left(user: int, train: Interactions, got: str) -> Never:
    """Raise: ``user`` has no item left to draw."""
    raise NoNegativesError(
        f"user {train.users.ids(np.array([user]))[0]!r} must have an item left to draw; got {got}. "
        "Leave this user out of the training data, or use exclude_seen=False."
    )


def has_seen(users: NDArray[np.int64], index: NDArray[np.int64], train: Interactions) -> Bool[np.ndarray, "B N"]:
    """Return (B, N) whether each user has each of their items (B, N)."""
    rows, seen = seen_pairs(users, train.indptr, train.indices)
    if len(users) * train.n_items <= _TABLE:
        table = np.zeros((len(users), train.n_items), dtype=bool)
        table[rows, seen] = True
        looked_up: NDArray[np.bool_] = np.take_along_axis(table, index, axis=1)
        return looked_up
    known = np.append(rows * np.int64(train.n_items) + seen, np.iinfo(np.int64).max)  # increasing
    asked = np.arange(len(users))[:, None] * np.int64(train.n_items) + index
    result: NDArray[np.bool_] = known[np.searchsorted(known, asked)] == asked
    return result


def seen_of(
    users: NDArray[np.int64], pool: NDArray[np.int64], indptr: NDArray[np.int64], indices: NDArray[np.int32]
) -> Bool[np.ndarray, "B N"]:
    """Return (B, N) whether each user has each item of ``pool`` (N,) among their rows of (indptr, indices)."""
    items, place = np.unique(pool, return_inverse=True)
    rows, seen = seen_pairs(users, indptr, indices)
    found = np.searchsorted(items, seen)
    hit = found < len(items)
    hit[hit] = items[found[hit]] == seen[hit]
    table = np.zeros((len(users), len(items)), dtype=bool)
    table[rows[hit], found[hit]] = True
    result: NDArray[np.bool_] = table[:, place]
    return result


def seen_pairs(
    users: NDArray[np.int64], indptr: NDArray[np.int64], indices: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return every seen pair of a batch, row by row: (row, item)."""
    counts = np.diff(indptr)[users]  # (B,)
    rows = np.repeat(np.arange(len(users)), counts)
    first = np.cumsum(counts) - counts
    return rows, indices[np.arange(len(rows)) + np.repeat(indptr[users] - first, counts)]
