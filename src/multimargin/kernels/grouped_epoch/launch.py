"""The launcher: takes settings apart once, then runs stretches of an epoch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.grouped_epoch.records import Settings, new_scratch
from multimargin.kernels.launch import Goal, Launcher, Learned
from multimargin.kernels.terms import HINGES

_PIECE = 16


class GroupedEpoch:
    """Compiled training of two tables with a loss that is a sum over pairs, all items as negatives.

    Args:
        learned: the tables.
        goal: what they are moved for.
        indptr: (U+1,) int64 bounds of each user's interactions in ``indices``.
        indices: (n,) int32 their items, increasing within a user.
        exclude_seen: leave a user's interactions out of their negatives; each user must have an item left.
    """

    def __init__(
        self,
        learned: Learned,
        goal: Goal,
        *,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        exclude_seen: bool,
    ):
        self._launcher = Launcher(learned, _PIECE)
        self._shape = learned.item_table.shape
        self._counts = np.diff(indptr)
        self._room: Any = None  # of the largest batch so far
        self._settings = Settings(*goal, exclude_seen=exclude_seen, indptr=indptr, indices=indices)

    def run(
        self, people: NDArray[np.int64], places: NDArray[np.int64], ends: NDArray[np.int64], *, learning_rate: float
    ) -> float:
        """Train on all interactions of ``people``, one step up to each of ``ends``; return the sum of their losses.

        Args:
            people: (n,) users, each once, in the order of the epoch.
            places: (n,) where each stands in the stream of dropout.
            ends: (steps,) increasing ends of batches in ``people``, the last n.
            learning_rate: for these steps.
        """
        from multimargin.kernels.grouped_epoch.cpu import run_steps

        if not len(people):
            return 0.0
        starts = np.append(0, ends[:-1])
        largest = int((ends - starts).max()), int(np.add.reduceat(self._counts[people], starts).max())
        if self._room is None or len(self._room.loss) < largest[0] or len(self._room.pos_score) < largest[1]:
            dense = len(self._settings.terms.kind) != HINGES
            self._room = new_scratch(*largest, *self._shape, dense=dense)
        return self._launcher.run(run_steps, ends, learning_rate, self._settings, self._room, people, places)
