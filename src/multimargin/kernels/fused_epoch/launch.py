"""The launcher: takes tensors and settings apart once, then runs stretches of an epoch."""

import time
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from multimargin.kernels.fused_epoch.records import Clock, Settings, Table
from multimargin.kernels.lazy_adam import RowState, Schedule
from multimargin.kernels.pace import Pace
from multimargin.kernels.threads import get_threads

_PIECE = 32  # steps in one call: short enough to change the number of threads, long enough not to notice


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
        from multimargin.kernels.fused_epoch import cpu

        self._run_steps: Any = cpu.run_steps
        self.schedule = schedule
        self._pace = Pace(get_threads())
        self._pairs = (pair_users, pair_items)
        self._tables = [
            (table.detach().numpy(), state) for table, state in ((user_table, user_state), (item_table, item_state))
        ]
        self._inverse: list[NDArray[np.float32]] = []  # kept true by the kernel until the optimiser is settled
        self._settled = -1
        if seen is None:
            seen = (np.empty(0, np.int64), np.empty(0, np.int32))
        for array in seen:
            array.setflags(write=False)  # as those of ``Interactions``: one type, so one compilation
        indptr, indices = seen
        self._settings = Settings(
            n_negatives=n_negatives,
            cosine=cosine,
            pos_slope=np.float32(positive_slope),
            margins=np.array(margins, dtype=np.float32),
            slopes=np.array(slopes, dtype=np.float32),
            dropout=np.float32(dropout),
            clip_norm=float(clip_norm or 0.0),
            weight_decay=np.float32(weight_decay),
            beta1=schedule.beta1,
            beta2=schedule.beta2,
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
        if self._settled != self.schedule.base:
            self._inverse = [self._inverse_norms(vectors) for vectors, _ in self._tables]
            self._settled = self.schedule.base
        total = 0.0
        for first in range(start, stop, _PIECE * batch_size):
            last = min(first + _PIECE * batch_size, stop)
            threads = self._pace.choose()
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
            started = time.perf_counter()
            total += self._piece(order, first, last, place, batch_size, learning_rate, threads)
            self._pace.record(threads, last - first, time.perf_counter() - started)
        return total

    def _piece(
        self, order: NDArray[np.int64], start: int, stop: int, place: int, batch_size: int, rate: float, lanes: int
    ) -> float:
        clock = self.schedule.advance_many(-(-(stop - start) // batch_size), rate)
        tables = [
            self._table(vectors, state, inverse)
            for (vectors, state), inverse in zip(self._tables, self._inverse, strict=True)
        ]
        loss = self._run_steps(
            *tables, *self._pairs, order, start, stop, place, batch_size, clock.before,
            Clock(
                self.schedule.base, self.schedule.horizon, self.schedule.power, self.schedule.drift, self.schedule.tail,
                clock.rate, clock.eps_now, clock.eps_idle,
            ),
            self._settings, lanes,
        )  # fmt: skip
        return float(loss)

    def _inverse_norms(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        from multimargin.kernels.sampled_scores.cpu import inverse_norms

        result: NDArray[np.float32] = inverse_norms(vectors, self._settings.cosine)
        return result

    @staticmethod
    def _table(vectors: NDArray[np.float32], state: RowState, inverse: NDArray[np.float32]) -> Table:
        return Table(
            vectors, state.first.numpy(), state.second.numpy(), state.direction.numpy(), state.last.numpy(),
            state.applied.numpy(), inverse,
        )  # fmt: skip
