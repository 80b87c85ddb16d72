"""What users touched, as bags of items of different sizes, without padding."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions


@dataclass(frozen=True)
class Bags:
    """Items of B bags, one after the other.

    Args:
        items: (L,) item indices.
        sizes: (B,) how many belong to each bag, 0 or more.
    """

    items: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """(B,) where each bag begins."""
        found: NDArray[np.int64] = np.cumsum(self.sizes) - self.sizes
        return found

    @cached_property
    def _found(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        # by a mark per item: a sort costs three times as much
        mark = np.zeros(int(self.items.max(initial=-1)) + 1, dtype=np.int64)
        mark[self.items] = 1
        distinct = np.flatnonzero(mark)
        mark[distinct] = np.arange(len(distinct))
        return distinct, mark[self.items]

    @property
    def distinct(self) -> NDArray[np.int64]:
        """(S,) the items that occur, increasing."""
        return self._found[0]

    @property
    def places(self) -> NDArray[np.int64]:
        """(L,) where in ``distinct`` each item is."""
        return self._found[1]


class Histories:
    """The history of each user of ``train``, no longer than ``longest``.

    Args:
        train: interactions.
        longest: most items of a history that are kept: the latest where there are times, else some drawn once by
            ``rng``; None: all.
        rng: what is drawn from.
    """

    def __init__(self, train: Interactions, longest: int | None, *, rng: np.random.Generator):
        self._items, self._kept = train.indices, None
        self._indptr = train.indptr
        if longest is None or not (train.user_counts > longest).any():
            return
        last = rng.random(len(train)) if train.timestamps is None else train.timestamps
        order = np.lexsort((last, train.user_index))  # within a user by time, or at random
        rank = train.indptr[1:][train.user_index] - 1 - np.arange(len(train))  # from the end: 0 is the latest
        self._kept = np.sort(order[rank < longest])  # places in ``train``
        self._items = train.indices[self._kept]
        self._indptr = np.concatenate(([0], np.cumsum(np.minimum(train.user_counts, longest))))

    def of(self, users: NDArray[np.int64], *, without: NDArray[np.int64] | None = None) -> Bags:
        """Return a bag for each of ``users`` (B,), if asked each without one interaction (B,) of the training data."""
        starts, sizes = self._indptr[users], self._indptr[users + 1] - self._indptr[users]
        places = np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(int(sizes.sum()))
        if without is not None:
            rows = np.repeat(np.arange(len(users)), sizes)
            keep = (places if self._kept is None else self._kept[places]) != without[rows]
            places, sizes = places[keep], np.bincount(rows[keep], minlength=len(users))
        return Bags(self._items[places].astype(np.int64), sizes.astype(np.int64))
