"""The launcher: takes settings apart once, then runs stretches of an epoch."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.launch import Goal, Launcher, Learned, ends_of_batches
from multimargin.kernels.shared_epoch.records import Settings, new_scratch
from multimargin.kernels.terms import HINGES, as_constant

_PIECE = 64
# Cosines of independent vectors vary by 1 / sqrt(D). Where so many times that is below the smallest margin, a pair in
# twenty or fewer is above it at first, and screening beats products of matrices.
_RARE = 1.6


class SharedEpoch:
    """Compiled training of two tables with a loss that is a sum over pairs; each batch has a pool of uniform draws.

    Args:
        learned: the tables.
        goal: what they are moved for.
        pair_users: (n,) user of each interaction.
        pair_items: (n,) item of each interaction.
        n_negatives: N, draws of a pool.
        negatives_key: stream of the negatives.
        seen: CSR (indptr, indices) of items that do not count for a user, or None if all count.
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
        self._pairs = (pair_users, pair_items)
        self._shape = (n_negatives, len(learned.user_table), *learned.item_table.shape, self._launcher.pace.threads)
        self._room: Any = None  # of the batch size that was asked for last
        indptr, indices = (np.empty(0, np.int64), np.empty(0, np.int32)) if seen is None else seen
        for array in (indptr, indices):
            array.setflags(write=False)  # as those of ``Interactions``: one type, so one compilation
        few = goal.cosine and len(goal.terms.kind) == HINGES
        self._screened = few and float(goal.terms.margins[0]) * math.sqrt(learned.item_table.shape[1]) > _RARE
        self._settings = Settings(
            *goal,
            n_negatives=n_negatives,
            screened=as_constant(self._screened),
            negatives_key=np.uint64(negatives_key),
            exclude_seen=seen is not None,
            indptr=indptr,
            indices=indices,
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
        from multimargin.kernels.shared_epoch.cpu import run_steps

        if self._room is None or len(self._room.leader) != batch_size:
            self._room = new_scratch(batch_size, *self._shape, screened=self._screened)
        pairs, ends = (each.take(order[start:stop]) for each in self._pairs), ends_of_batches(stop - start, batch_size)
        return self._launcher.run(run_steps, ends, learning_rate, self._settings, self._room, *pairs, place + start)
