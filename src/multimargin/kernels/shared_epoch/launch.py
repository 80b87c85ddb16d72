"""The launcher: takes tensors and settings apart once, then runs stretches of an epoch."""

import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from multimargin.kernels.lazy_adam import RowState, Schedule
from multimargin.kernels.pace import Pace
from multimargin.kernels.shared_epoch.records import Settings, new_scratch
from multimargin.kernels.terms import HINGES, Terms
from multimargin.kernels.threads import get_threads

_PIECE = 64  # steps in one call: short enough to change the number of threads, long enough not to notice
# Cosines of independent vectors vary by 1 / sqrt(D). Where so many times that is below the smallest margin, a pair in
# twenty or fewer is above it at first, and screening beats products of matrices.
_RARE = 1.6


class SharedEpoch:
    """Compiled training of two tables with a loss that is a sum over pairs; each batch has a pool of uniform draws.

    Args:
        user_table: (U, D) contiguous float32 on the CPU; moved in place.
        item_table: (I, D) likewise.
        user_state: lazy Adam's state of the user table.
        item_state: lazy Adam's state of the item table.
        schedule: the optimiser's drift sums; advanced here.
        pair_users: (n,) user of each interaction.
        pair_items: (n,) item of each interaction.
        cosine: whether scores are cosines (else dot products).
        terms: the loss.
        n_negatives: N, draws of a pool.
        negatives_key: stream of the negatives.
        dropout_key: stream of the dropout.
        dropout: probability with which an entry of the normalised user vector is zeroed, in [0, 1).
        clip_norm: bound on the gradient's global norm, or None.
        weight_decay: times the row, added to the gradient of touched rows.
        seen: CSR (indptr, indices) of items that do not count for a user, or None if all count.
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
        terms: Terms,
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
        indptr, indices = (np.empty(0, np.int64), np.empty(0, np.int32)) if seen is None else seen
        for array in (indptr, indices):
            array.setflags(write=False)  # as those of ``Interactions``: one type, so one compilation
        hinges = terms.kind == HINGES
        self._settings = Settings(
            n_negatives=n_negatives,
            cosine=cosine,
            screened=cosine and hinges and float(terms.margins[0]) * math.sqrt(item_table.shape[1]) > _RARE,
            terms=terms,
            dropout=np.float32(dropout),
            clip_norm=float(clip_norm or 0.0),
            negatives_key=np.uint64(negatives_key),
            dropout_key=np.uint64(dropout_key),
            exclude_seen=seen is not None,
            indptr=indptr,
            indices=indices,
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
        from multimargin.kernels.lazy_adam.cpu import as_clock, as_table
        from multimargin.kernels.shared_epoch.cpu import run_steps
        from multimargin.kernels.team import run_together

        (user_table, user_state), (item_table, item_state) = self._tables
        if self._room is None or len(self._room.users) != batch_size:
            n, (n_items, dim) = self._settings.n_negatives, item_table.shape
            threads, screened = self._pace.threads, self._settings.screened
            self._room = new_scratch(batch_size, n, len(user_table), n_items, dim, threads, screened=screened)
        users, items = as_table(user_table, user_state), as_table(item_table, item_state)
        batch_users, batch_items = (pairs[order[start:stop]] for pairs in self._pairs)
        self._room.total[0] = 0.0  # summed over all pieces, in the order of the steps, however long the pieces are
        first = start
        while first < stop:
            threads, at_most = self._pace.choose(_PIECE)
            last = min(first + at_most * batch_size, stop)
            steps = self.schedule.advance_many(-(-(last - first) // batch_size), learning_rate)
            clock = as_clock(self.schedule, steps.rate, steps.eps_now, steps.eps_idle, self._weight_decay)
            known, started = len(run_steps.signatures), time.perf_counter()
            run_together(
                threads, run_steps, users, items, batch_users[first - start : last - start],
                batch_items[first - start : last - start], batch_size, place + first, steps.before, clock,
                self._settings, self._room,
            )  # fmt: skip
            if len(run_steps.signatures) == known:  # else it was compiled, which says nothing about threads
                self._pace.record(threads, last - first, time.perf_counter() - started)
            first = last
        return float(self._room.total[0])
