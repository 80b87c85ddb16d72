"""What all compiled epochs share: the tables they move, what they move them for, and a stretch run piece by piece."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from multimargin.kernels.lazy_adam import RowState, Schedule
from multimargin.kernels.pace import Pace
from multimargin.kernels.terms import Terms
from multimargin.kernels.threads import get_threads


@dataclass(frozen=True)
class Learned:
    """Two tables and what lazy Adam remembers of them.

    Args:
        user_table: (U, D) contiguous float32 on the CPU; moved in place.
        item_table: (I, D) likewise.
        user_state: of the user table.
        item_state: of the item table.
        schedule: the optimiser's drift sums; advanced by each step.
        weight_decay: times the row, added to the gradient of touched rows.
    """

    user_table: Tensor
    item_table: Tensor
    user_state: RowState
    item_state: RowState
    schedule: Schedule
    weight_decay: float = 0.0


class Goal(NamedTuple):
    """What every kernel must know of a training; the first fields of its ``Settings``."""

    cosine: bool  # whether scores are cosines (else dot products)
    terms: Terms  # the loss
    dropout: np.float32  # probability with which an entry of the (normalised) user vector is zeroed, in [0, 1)
    dropout_key: np.uint64  # stream of the dropout
    clip_norm: float  # bound on the gradient's global norm; 0: none


class Launcher:
    """Runs the steps of a stretch, some in one call, on as many threads as pay off.

    Between two stretches nobody else may move the tables, unless the optimiser is settled in between.

    Args:
        learned: the tables.
        piece: steps in one call: few enough to change the number of threads, enough not to notice.
    """

    def __init__(self, learned: Learned, piece: int):
        self.pace = Pace(get_threads())
        self._learned, self._piece = learned, piece

    def run(
        self,
        run_steps: Callable[..., None],
        ends: NDArray[np.int64],
        learning_rate: float,
        settings: NamedTuple,
        room: Any,
        *what: Any,
    ) -> float:
        """Return the sum of the losses of all steps.

        Args:
            run_steps: the kernel, ``(thread, threads, cells, users, items, clock, now, start, ends, settings, room,
                *what)``; takes a step from each end to the next, the first from ``start`` on, and adds its losses to
                ``room.total[0]``. ``now`` is the number of steps already taken.
            ends: (steps,) increasing, of each step, in ``what``.
            learning_rate: for these steps.
            settings: of the kernel.
            room: of the kernel.
            what: what there is to train on.
        """
        from multimargin.kernels.lazy_adam.cpu import as_clock, as_table
        from multimargin.kernels.team import run_together

        each = self._learned
        users, items = as_table(each.user_table, each.user_state), as_table(each.item_table, each.item_state)
        room.total[0] = 0.0  # over all pieces, in the order of the steps, however long the pieces are
        first, start = 0, 0
        while first < len(ends):
            threads, at_most = self.pace.choose(self._piece)
            piece = ends[first : first + at_most]
            steps = each.schedule.advance_many(len(piece), learning_rate)
            clock = as_clock(each.schedule, steps.rate, steps.eps_now, steps.eps_idle, each.weight_decay)
            known, started = len(run_steps.signatures), time.perf_counter()  # type: ignore[attr-defined]
            run_together(threads, run_steps, users, items, clock, steps.before, start, piece, settings, room, *what)
            if len(run_steps.signatures) == known:  # type: ignore[attr-defined]  # else compiled, which says nothing
                self.pace.record(threads, int(piece[-1]) - start, time.perf_counter() - started)
            first, start = first + len(piece), int(piece[-1])
        return float(room.total[0])


def ends_of_batches(n: int, batch_size: int) -> NDArray[np.int64]:
    """Return where batches of ``batch_size`` end in ``n`` interactions, the last perhaps a smaller one."""
    return np.minimum(np.arange(0, n, batch_size, dtype=np.int64) + batch_size, n)
