"""How an epoch is cut into batches: interactions shuffled one by one, or whole users."""

import numpy as np
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions


class Batches:
    """Orders an epoch and says where its batches end.

    Args:
        train: the interactions.
        batch_size: B.
        by_user: interactions stay with their user, users are shuffled, and a batch ends with the user with whom it
            holds B interactions or more; else interactions are shuffled, and a batch ends after B of them.
    """

    def __init__(self, train: Interactions, batch_size: int, *, by_user: bool):
        self._train, self._batch_size, self.by_user = train, batch_size, by_user

    def order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the epoch's order of interactions, (n,)."""
        n = len(self._train)
        if not self.by_user:
            return rng.permutation(n)
        users = rng.permutation(np.flatnonzero(self._train.user_counts))
        counts = self._train.user_counts[users]
        before = self._train.indptr[users] - (np.cumsum(counts) - counts)
        order: NDArray[np.int64] = np.arange(n) + np.repeat(before, counts)
        return order

    def ends(self, order: NDArray[np.int64], start: int, stop: int) -> NDArray[np.int64]:
        """Return the increasing ends of the batches in ``order[start:stop]``; both are bounds of batches."""
        if not self.by_user:
            return np.append(np.arange(start + self._batch_size, stop, self._batch_size), stop)[: max(stop - start, 0)]
        last = self.user_ends(order, start, stop)
        ends = []
        while start < stop:
            start = int(last[min(int(np.searchsorted(last, start + self._batch_size)), len(last) - 1)])
            ends.append(start)
        return np.array(ends, dtype=np.int64)

    def user_ends(self, order: NDArray[np.int64], start: int, stop: int) -> NDArray[np.int64]:
        """Return where each user's interactions in ``order[start:stop]`` end; they stand together."""
        users = self._train.user_index[order[start:stop]]
        return np.append(np.flatnonzero(users[1:] != users[:-1]) + start + 1, stop)[: len(users)]
