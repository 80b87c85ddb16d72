"""The launcher: takes settings apart once, then runs stretches of an epoch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.fused_epoch.records import Settings, new_scratch
from multimargin.kernels.launch import Goal, Launcher, Learned, ends_of_batches
from multimargin.kernels.terms import HINGES, as_constant

_PIECE = 128
# The nearer rows must stay to their copies, the fewer draws pass the screen, and the more often copies are made.
# Where items' rows lie in main memory, copies cost the more.
_MANY, _FAR = 400, 2**28  # draws; bytes of items' rows and moments
_STILL_MANY, _STILL_FEW, _STILL_FAR = 0.04, 0.08, 0.3


class FusedEpoch:
    """Compiled training of two tables with a loss that is a sum over pairs, and uniform negatives for each interaction.

    Args:
        learned: the tables.
        goal: what they are moved for.
        pair_users: (n,) user of each interaction.
        pair_items: (n,) item of each interaction.
        n_negatives: N.
        negatives_key: stream of the negatives.
        seen: CSR (indptr, indices) of items not to draw for a user, or None to draw from all.
    """

    def __init__(
        self,
        learned: Learned,
        goal: Goal,
        *,
        pair_users: NDArray[np.int32],
        pair_items: NDArray[np.int32],
        n_negatives: int,
        negatives_key: int,
        seen: tuple[NDArray[np.int64], NDArray[np.int32]] | None,
    ):
        self._launcher = Launcher(learned, _PIECE)
        self._pairs, self._schedule = (pair_users, pair_items), learned.schedule
        shape = (n_negatives, len(learned.user_table), *learned.item_table.shape)
        self._shape = (*shape, self._launcher.pace.threads, learned.schedule.horizon)
        self._room: Any = None  # of the batch size that was asked for last
        self._copied = (-1, -1.0)  # for which settling of the optimiser and which drift the items' copies hold
        if seen is None:
            seen = (np.empty(0, np.int64), np.empty(0, np.int32))
        for array in seen:
            array.setflags(write=False)  # as those of ``Interactions``: one type, so one compilation
        indptr, indices = seen
        far = 16 * learned.item_table.numel() > _FAR
        few = goal.cosine and len(goal.terms.kind) == HINGES and goal.terms.margins[0] > 0
        self._settings = Settings(
            *goal,
            n_negatives=n_negatives,
            screened=as_constant(few),
            still=np.float32(_STILL_MANY if n_negatives >= _MANY else _STILL_FAR if far else _STILL_FEW),
            drift_ahead=np.float32(0),
            negatives_key=np.uint64(negatives_key),
            seen_indptr=indptr,
            seen_indices=indices,
        )

    def run(
        self, order: NDArray[np.int64], start: int, stop: int, *, place: int, batch_size: int, learning_rate: float
    ) -> float:
        """Train on ``order[start:stop]``, one step per ``batch_size`` pairs, and return the sum of their losses.

        Args:
            order: (n,) int64 indices of pairs, the epoch's shuffle.
            start: first place in ``order``, a multiple of ``batch_size``.
            stop: end, exclusive; a multiple of ``batch_size`` or n.
            place: place of ``order[0]`` in the streams of negatives and dropout.
            batch_size: B.
            learning_rate: for these steps.
        """
        from multimargin.kernels.fused_epoch.cpu import run_steps

        if self._room is None or len(self._room.leader) != batch_size:
            self._room = new_scratch(batch_size, *self._shape)
            self._copied = (-1, -1.0)
        ahead = self._schedule.drift_ahead(learning_rate)
        if self._copied[0] != self._schedule.base or self._copied[1] < ahead:
            self._copied = (self._schedule.base, ahead)
            self._settings = self._settings._replace(drift_ahead=np.float32(ahead))
            self._room.anew[0] = 1
        self._room.lane_loss[:] = 0
        pairs, ends = (each.take(order[start:stop]) for each in self._pairs), ends_of_batches(stop - start, batch_size)
        return self._launcher.run(run_steps, ends, learning_rate, self._settings, self._room, *pairs, place + start)
