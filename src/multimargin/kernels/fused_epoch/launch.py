"""The launcher: takes tensors and settings apart once, then runs stretches of an epoch."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from multimargin.kernels.fused_epoch.records import Settings, new_scratch
from multimargin.kernels.lazy_adam import RowState, Schedule
from multimargin.kernels.pace import Pace
from multimargin.kernels.threads import get_threads

_PIECE = 128  # steps in one call: short enough to change the number of threads, long enough not to notice
# The nearer rows must stay to their copies, the fewer draws pass the screen, and the more often copies are made.
_MANY = 400
_STILL_MANY, _STILL_FEW = 0.04, 0.08


class FusedEpoch:
    """Compiled training of two tables with a margin loss and uniform negatives.

    Args:
        user_table: (U, D) contiguous float32 on the CPU; moved in place.
        item_table: (I, D) likewise.
        user_state: lazy Adam's state of the user table.
        item_state: lazy Adam's state of the item table.
        schedule: the optimiser's drift sums; advanced here.
        pair_users: (n,) user of each interaction.
        pair_items: (n,) item of each interaction.
        cosine: whether scores are cosines (else dot products).
        positive_slope: p of ``losses.base.Hinges``.
        margins: (M,) increasing.
        slopes: (M,) one per margin.
        n_negatives: N.
        negatives_key: stream of the negatives.
        dropout_key: stream of the dropout.
        dropout: probability with which an entry of the normalised user vector is zeroed, in [0, 1).
        clip_norm: bound on the gradient's global norm, or None.
        weight_decay: times the row, added to the gradient of touched rows.
        seen: CSR (indptr, indices) of items not to draw for a user, or None to draw from all.
    """

    def __init__(
        self,
        user_table: Tensor,
        item_table: Tensor,
        user_state: RowState,
        item_state: RowState,
        schedule: Schedule,
        *,
        pair_users: NDArray[np.int32],
        pair_items: NDArray[np.int32],
        cosine: bool,
        positive_slope: float,
        margins: tuple[float, ...],
        slopes: tuple[float, ...],
        n_negatives: int,
        negatives_key: int,
        dropout_key: int,
        dropout: float,
        clip_norm: float | None,
        weight_decay: float,
        seen: tuple[NDArray[np.int64], NDArray[np.int32]] | None,
    ):
        self.schedule = schedule
        self._pace = Pace(get_threads())
        self._pairs = (pair_users, pair_items)
        self._tables = ((user_table, user_state), (item_table, item_state))
        self._weight_decay = weight_decay
        self._room: Any = None  # of the batch size that was asked for last
        self._copied = (-1, -1.0)  # for which settling of the optimiser and which drift the items' copies hold
        if seen is None:
            seen = (np.empty(0, np.int64), np.empty(0, np.int32))
        for array in seen:
            array.setflags(write=False)  # as those of ``Interactions``: one type, so one compilation
        indptr, indices = seen
        self._settings = Settings(
            n_negatives=n_negatives,
            cosine=cosine,
            screened=cosine and margins[0] > 0,
            still=np.float32(_STILL_MANY if n_negatives >= _MANY else _STILL_FEW),
            drift_ahead=np.float32(0),
            pos_slope=np.float32(positive_slope),
            margins=np.array(margins, dtype=np.float32),
            slopes=np.array(slopes, dtype=np.float32),
            dropout=np.float32(dropout),
            clip_norm=float(clip_norm or 0.0),
            negatives_key=np.uint64(negatives_key),
            dropout_key=np.uint64(dropout_key),
            seen_indptr=indptr,
            seen_indices=indices,
        )

    def run(
        self, order: NDArray[np.int64], start: int, stop: int, *, place: int, batch_size: int, learning_rate: float
    ) -> float:
        """Train on ``order[start:stop]``, one step per ``batch_size`` pairs, and return the sum of their losses.

        Between two calls nobody else may move the tables, unless the optimiser is settled in between.

        Args:
            order: (n,) int64 indices of pairs, the epoch's shuffle.
            start: first place in ``order``, a multiple of ``batch_size``.
            stop: end, exclusive; a multiple of ``batch_size`` or n.
            place: place of ``order[0]`` in the streams of negatives and dropout.
            batch_size: B.
            learning_rate: for these steps.
        """
        from multimargin.kernels.fused_epoch.cpu import run_steps
        from multimargin.kernels.lazy_adam.cpu import as_clock, as_table
        from multimargin.kernels.team import run_together

        (user_table, user_state), (item_table, item_state) = self._tables
        n, (n_items, dim) = self._settings.n_negatives, item_table.shape
        if self._room is None or len(self._room.leader) != batch_size:
            horizon = self.schedule.horizon
            self._room = new_scratch(batch_size, n, len(user_table), n_items, dim, self._pace.threads, horizon)
            self._copied = (-1, -1.0)
        users, items = as_table(user_table, user_state), as_table(item_table, item_state)
        ahead = self.schedule.drift_ahead(learning_rate)
        anew = self._copied[0] != self.schedule.base or self._copied[1] < ahead
        if anew:
            self._copied = (self.schedule.base, ahead)
            self._settings = self._settings._replace(drift_ahead=np.float32(ahead))
        batch_users, batch_items = (pairs.take(order[start:stop]) for pairs in self._pairs)
        self._room.lane_loss[:] = 0  # summed over all pieces, in the order of the steps, however long the pieces are
        total, first = 0.0, start
        while first < stop:
            threads, at_most = self._pace.choose(_PIECE)
            last = min(first + at_most * batch_size, stop)
            steps = self.schedule.advance_many(-(-(last - first) // batch_size), learning_rate)
            clock = as_clock(self.schedule, steps.rate, steps.eps_now, steps.eps_idle, self._weight_decay)
            known, started = len(run_steps.signatures), time.perf_counter()
            total = run_together(
                threads, run_steps, users, items, batch_users[first - start : last - start],
                batch_items[first - start : last - start], batch_size, place + first, steps.before, clock,
                self._settings, anew and self._settings.screened, self._room,
            )  # fmt: skip
            anew = False
            if len(run_steps.signatures) == known:  # else it was compiled, which says nothing about threads
                self._pace.record(threads, last - first, time.perf_counter() - started)
            first = last
        return total
