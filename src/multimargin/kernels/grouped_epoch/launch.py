"""The launcher: takes tensors and settings apart once, then runs stretches of an epoch."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from multimargin.kernels.grouped_epoch.records import Settings, new_scratch
from multimargin.kernels.lazy_adam import RowState, Schedule
from multimargin.kernels.pace import Pace
from multimargin.kernels.threads import get_threads

_PIECE = 16  # steps in one call: short enough to change the number of threads, long enough not to notice


class GroupedEpoch:
    """Compiled training of two tables with a margin loss, all items as negatives.

    Args:
        user_table: (U, D) contiguous float32 on the CPU; moved in place.
        item_table: (I, D) likewise.
        user_state: lazy Adam's state of the user table.
        item_state: lazy Adam's state of the item table.
        schedule: the optimiser's drift sums; advanced here.
        indptr: (U+1,) int64 bounds of each user's interactions in ``indices``.
        indices: (n,) int32 their items, increasing within a user.
        cosine: whether scores are cosines (else dot products).
        positive_slope: p of ``losses.base.Hinges``.
        margins: (M,) increasing.
        slopes: (M,) one per margin.
        dropout_key: stream of the dropout.
        dropout: probability with which an entry of the normalised user vector is zeroed, in [0, 1).
        clip_norm: bound on the gradient's global norm, or None.
        weight_decay: times the row, added to the gradient of touched rows.
        exclude_seen: leave a user's interactions out of their negatives; each user must have an item left.
    """

    def __init__(
        self,
        user_table: Tensor,
        item_table: Tensor,
        user_state: RowState,
        item_state: RowState,
        schedule: Schedule,
        *,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        cosine: bool,
        positive_slope: float,
        margins: tuple[float, ...],
        slopes: tuple[float, ...],
        dropout_key: int,
        dropout: float,
        clip_norm: float | None,
        weight_decay: float,
        exclude_seen: bool,
    ):
        self.schedule = schedule
        self._pace = Pace(get_threads())
        self._tables = ((user_table, user_state), (item_table, item_state))
        self._weight_decay = weight_decay
        self._counts = np.diff(indptr)
        self._room: Any = None  # of the largest batch so far
        self._settings = Settings(
            cosine=cosine,
            pos_slope=np.float32(positive_slope),
            margins=np.array(margins, dtype=np.float32),
            slopes=np.array(slopes, dtype=np.float32),
            dropout=np.float32(dropout),
            clip_norm=float(clip_norm or 0.0),
            dropout_key=np.uint64(dropout_key),
            exclude_seen=exclude_seen,
            indptr=indptr,
            indices=indices,
        )

    def run(
        self,
        people: NDArray[np.int64],
        places: NDArray[np.int64],
        ends: NDArray[np.int64],
        *,
        learning_rate: float,
    ) -> float:
        """Train on all interactions of ``people``, one step up to each of ``ends``; return the sum of their losses.

        Between two calls nobody else may move the tables, unless the optimiser is settled in between.

        Args:
            people: (n,) users, each once, in the order of the epoch.
            places: (n,) where each stands in the stream of dropout.
            ends: (steps,) increasing ends of batches in ``people``, the last n.
            learning_rate: for these steps.
        """
        from multimargin.kernels.grouped_epoch.cpu import run_steps
        from multimargin.kernels.lazy_adam.cpu import as_clock, as_table
        from multimargin.kernels.team import run_together

        if not len(people):
            return 0.0
        (user_table, user_state), (item_table, item_state) = self._tables
        starts = np.append(0, ends[:-1])
        largest = int((ends - starts).max()), int(np.add.reduceat(self._counts[people], starts).max())
        if self._room is None or len(self._room.loss) < largest[0] or len(self._room.pos_score) < largest[1]:
            self._room = new_scratch(*largest, *item_table.shape)
        users, items = as_table(user_table, user_state), as_table(item_table, item_state)
        total = 0.0
        first = 0
        while first < len(ends):
            threads, at_most = self._pace.choose(_PIECE)
            piece = ends[first : first + at_most]
            steps = self.schedule.advance_many(len(piece), learning_rate)
            clock = as_clock(self.schedule, steps.rate, steps.eps_now, steps.eps_idle, self._weight_decay)
            known, started = len(run_steps.signatures), time.perf_counter()
            total = run_together(
                threads, run_steps, users, items, people, places, piece, int(starts[first]), steps.before, total,
                clock, self._settings, self._room,
            )  # fmt: skip
            if len(run_steps.signatures) == known:  # else it was compiled, which says nothing about threads
                self._pace.record(threads, int(piece[-1] - starts[first]), time.perf_counter() - started)
            first += len(piece)
        return total
