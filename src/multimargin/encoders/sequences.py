"""What users touched in the order of time, cut into windows, without padding."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions
from multimargin.errors import DataError


@dataclass(frozen=True)
class Windows:
    """Stretches of histories, one after the other. A place of a window stands for what came up to there.

    Args:
        items: (P,) the item that came at each place; -1 at a window's first, which stands before all of its items.
        sizes: (W,) places of each window, increasing, 1 or more.
    """

    items: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def starts(self) -> NDArray[np.int64]:
        """(W,) where each window begins."""
        found: NDArray[np.int64] = np.cumsum(self.sizes) - self.sizes
        return found

    @property
    def within(self) -> NDArray[np.int64]:
        """(P,) how many items each place has seen."""
        found: NDArray[np.int64] = np.arange(len(self.items)) - np.repeat(self.starts, self.sizes)
        return found


class Sequences:
    """Each user's items by time, those of one time by index, and windows of them of at most ``longest`` items.

    A window ends at most ``longest`` items after it begins. A user with more has several: the first holds as many, and
    each further one begins three quarters of ``longest`` later (rounded down, at least 1), so that whoever is not at
    the beginning sees a quarter of ``longest`` or more.

    Args:
        log: interactions with times.
        longest: most items of a window, 1 or more.
        wanted_by: whose name stands in the message.

    Raises:
        DataError: there are no timestamps.
    """

    def __init__(self, log: Interactions, longest: int, *, wanted_by: str):
        if log.timestamps is None:
            raise DataError(
                f"{wanted_by} must have timestamps to order histories by; the data has none. "
                "Name their column: Interactions.read(path, timestamp='...')."
            )
        order = np.lexsort((log.timestamps, log.user_index))  # stable: items of one time keep their order
        self._items, self._indptr, self._longest = log.indices[order].astype(np.int64), log.indptr, longest
        self._stride = max(longest * 3 // 4, 1)
        self._place = np.empty(len(log), dtype=np.int64)  # of each interaction in its user's sequence
        self._place[order] = np.arange(len(log)) - np.repeat(log.indptr[:-1], log.user_counts)

    def read_of(self, users: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the distinct items of ``users``, increasing."""
        mark = np.zeros(int(self._items.max(initial=-1)) + 1, dtype=bool)
        distinct = np.unique(users)
        mark[self._taken(self._indptr[distinct], np.diff(self._indptr)[distinct])] = True
        return np.flatnonzero(mark)

    def ends(self, users: NDArray[np.int64]) -> tuple[Windows, NDArray[np.int64]]:
        """Return windows of the last items of each of ``users`` (B,), and the place (B,) that has seen all of them."""
        counts = self._indptr[users + 1] - self._indptr[users]
        kept = np.minimum(counts, self._longest)
        return self._windows(self._indptr[users + 1] - kept, kept, np.arange(len(users)), kept)

    def before(self, users: NDArray[np.int64], interactions: NDArray[np.int64]) -> tuple[Windows, NDArray[np.int64]]:
        """Return windows, one for many interactions, and the place (B,) that has seen what came before each."""
        at = self._place[interactions]
        number = np.maximum(-(-(at - self._longest) // self._stride), 0)  # which of the user's windows
        most = int(number.max(initial=0)) + 1
        found, window = np.unique(users * most + number, return_inverse=True)
        seen = at - number * self._stride  # items of its window before each
        lengths = np.zeros(len(found), dtype=np.int64)
        np.maximum.at(lengths, window, seen)
        return self._windows(self._indptr[found // most] + found % most * self._stride, lengths, window, seen)

    def _windows(
        self,
        first: NDArray[np.int64],
        lengths: NDArray[np.int64],
        window: NDArray[np.int64],
        seen: NDArray[np.int64],
    ) -> tuple[Windows, NDArray[np.int64]]:
        """Return windows of ``lengths`` items from ``first`` on, short before long, and the places in them."""
        order = np.argsort(lengths, kind="stable")
        first, sizes = first[order], lengths[order] + 1
        items = self._taken(first - 1, sizes)
        starts = np.cumsum(sizes) - sizes
        items[starts] = -1
        where = np.empty_like(starts)
        where[order] = starts
        return Windows(items, sizes), where[window] + seen

    def _taken(self, first: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return ``counts`` items from each place of ``first`` on; the place -1 has any."""
        places = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(int(counts.sum()))
        return self._items[places] if len(self._items) else np.full(len(places), -1)
