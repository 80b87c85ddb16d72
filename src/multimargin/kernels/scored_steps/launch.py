"""The launcher: takes tensors and settings apart once, then scores batches and moves rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from multimargin.kernels.lazy_adam import RowState, Schedule
from multimargin.kernels.scored_steps.records import Settings, Shape, new_scratch
from multimargin.kernels.scored_steps.rows import RowLoss
from multimargin.kernels.threads import get_threads

_Parts = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


class ScoredSteps:
    """Compiled steps of two tables with any loss on scores: ``score``, then the loss, then ``move``.

    Args:
        user_table: (U, D) contiguous float32 on the CPU; moved in place.
        item_table: (I, D) likewise.
        user_state: lazy Adam's state of the user table.
        item_state: lazy Adam's state of the item table.
        schedule: the optimiser's drift sums; advanced by the caller, between ``score`` and ``move``.
        cosine: whether scores are cosines (else dot products).
        dropout_key: stream of the dropout.
        dropout: probability with which an entry of the normalised user vector is zeroed, in [0, 1).
        clip_norm: bound on the gradient's global norm, or None.
        weight_decay: times the row, added to the gradient of touched rows.
        negatives_key: stream of negatives that are drawn here.
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
        cosine: bool,
        dropout_key: int,
        dropout: float,
        clip_norm: float | None,
        weight_decay: float,
        negatives_key: int = 0,
        seen: tuple[NDArray[np.int64], NDArray[np.int32]] | None = None,
    ):
        self.threads = get_threads()
        self.schedule = schedule
        self._tables = ((user_table, user_state), (item_table, item_state))
        self._weight_decay = weight_decay
        indptr, indices = (np.empty(0, np.int64), np.empty(0, np.int32)) if seen is None else seen
        for array in (indptr, indices):
            array.setflags(write=False)  # as those of ``Interactions``: one type, so one compilation
        self._settings = Settings(
            cosine=cosine,
            dropout=np.float32(dropout),
            clip_norm=float(clip_norm or 0.0),
            dropout_key=np.uint64(dropout_key),
            negatives_key=np.uint64(negatives_key),
            seen_indptr=indptr,
            seen_indices=indices,
        )
        self._most = Shape(0, 0, 0, 0)  # what there is room for
        self._shape = self._most
        self._layout: tuple[tuple[int, bool], ...] = ()  # how many others and negatives, and whether rows share them
        self._room: Any = None

    def score(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],
        *,
        others: NDArray[np.int64],
        negatives: NDArray[np.int64] | int,
        place: int,
        dropout_place: NDArray[np.int64] | int,
    ) -> _Parts:
        """Return scores of the positives (B,), of the others (B, K) and of the negatives (B, N), in new memory.

        Args:
            users: (B,) user of each row.
            positives: (B,) item of each row.
            others: (B, K) further items of each row, or (K,) of all rows.
            negatives: (B, N) items of each row, or (N,) of all rows, or N: that many are drawn for each row.
            place: of the first row in the stream of negatives.
            dropout_place: (B,) of each row in the stream of dropout, or of the first of rows that follow one another.
        """
        from multimargin.kernels.scored_steps.cpu import score_step
        from multimargin.kernels.team import run_together

        batch, drawn = len(users), isinstance(negatives, int)
        sizes = others.shape[-1], negatives if isinstance(negatives, int) else negatives.shape[-1]
        self._layout = tuple(zip(sizes, (np.ndim(others) == 1, np.ndim(negatives) == 1), strict=True))
        k, n = (0 if pooled else size for size, pooled in self._layout)
        self._make_room(Shape(batch, k, n, sum(sizes) - k - n))
        shape, x = self._shape, self._room
        x.users[:batch] = users
        x.dropout_place[:batch] = (
            np.arange(dropout_place, dropout_place + batch) if isinstance(dropout_place, int) else dropout_place
        )
        to_positives, to_others, to_negatives = self._parts(x.item, x.pool[None])
        to_positives[:], to_others[:] = positives, others
        if not drawn:
            to_negatives[:] = negatives
        scores, pool_scores = np.empty(shape.pairs, np.float32), np.empty((batch, shape.pool), np.float32)
        users_now, items_now, clock = self._state((0.0, 0.0, 0.0))
        run_together(
            self._threads(), score_step, users_now, items_now, place, self.schedule.step, clock, self._settings, shape,
            drawn, x, scores, pool_scores,
        )  # fmt: skip
        return self._parts(scores, pool_scores)

    def _parts(self, own: NDArray[Any], pool: NDArray[Any]) -> _Parts:
        """Return views of the parts of positives (B,), others (B, K) and negatives (B, N).

        Args:
            own: (F or more,) of pairs with items of their own.
            pool: (B or more, P or more) of items that all rows share, the others first; or (1, P or more).
        """
        rows, column = self._shape.rows, 0
        start, parts = rows, []
        for size, pooled in self._layout:
            if pooled:
                parts.append(pool[:rows, column : column + size])
                column += size
            else:
                parts.append(own[start : start + rows * size].reshape(rows, size))
                start += rows * size
        others, negatives = parts
        return own[:rows], others, negatives

    def move(
        self,
        pos_slopes: NDArray[np.float32] | None,
        other_slopes: NDArray[np.float32] | None,
        neg_slopes: NDArray[np.float32] | None,
        *,
        constants: tuple[float, float, float],
        more: float = 0.0,
    ) -> float:
        """Move the rows by the gradients of the scores that ``score`` returned last, None being zeros.

        Args:
            pos_slopes: (B,) gradient of the scores of positives.
            other_slopes: (B, K) of others.
            neg_slopes: (B, N) of negatives.
            constants: of the step, which ``schedule`` has just taken.
            more: the squared norm of the gradients of other parameters, which counts for clipping.

        Returns:
            What gradients were multiplied by, 1 if they were not clipped.
        """
        from multimargin.kernels.scored_steps.cpu import move_step
        from multimargin.kernels.team import run_together

        shape, x = self._shape, self._room
        for part, slopes in zip(
            self._parts(x.slope, x.pool_slope), (pos_slopes, other_slopes, neg_slopes), strict=True
        ):
            part[:] = 0 if slopes is None else slopes
        users, items, clock = self._state(constants)
        run_together(
            self._threads(), move_step, users, items, self.schedule.step, clock, self._settings, shape, x,
            x.slope[: shape.pairs], x.pool_slope, more,
        )  # fmt: skip
        return float(x.scale[0])

    def run(
        self,
        users: NDArray[np.int32],
        positives: NDArray[np.int32],
        loss: RowLoss,
        *,
        n_negatives: int,
        shared: bool,
        place: int,
        batch_size: int,
        learning_rate: float,
        total: float,
    ) -> float:
        """Take whole steps, one per ``batch_size`` rows, with a loss that kernels know; add up the losses.

        Args:
            users: (n,) user of each row.
            positives: (n,) item of each row.
            loss: what a row costs.
            n_negatives: N, drawn here.
            shared: whether all rows of a batch have the same.
            place: of the first row in the streams of negatives and dropout.
            batch_size: B.
            learning_rate: for these steps; the schedule is advanced here.
            total: of the losses so far, to which they are added in the order of the steps, however these are cut.
        """
        from multimargin.kernels.lazy_adam.cpu import as_clock
        from multimargin.kernels.scored_steps.cpu import run_steps
        from multimargin.kernels.team import run_together

        own, pool = (0, n_negatives) if shared else (n_negatives, 0)
        self._make_room(Shape(min(batch_size, len(users)), 0, own, pool))
        steps = self.schedule.advance_many(-(-len(users) // batch_size), learning_rate)
        clock = as_clock(self.schedule, steps.rate, steps.eps_now, steps.eps_idle, self._weight_decay)
        users_now, items_now, _ = self._state((0.0, 0.0, 0.0))
        self._room.total[0] = total
        run_together(
            self._threads(), run_steps, users_now, items_now, users, positives, batch_size, own, pool, place,
            steps.before, clock, self._settings, loss, self._room,
        )  # fmt: skip
        return float(self._room.total[0])

    def n_compiled(self) -> int:
        """Return how many kernels were compiled, or loaded, so far: a step in which it grows says nothing of speed."""
        from multimargin.kernels.scored_steps.cpu import move_step, run_steps, score_step

        return sum(len(kernel.signatures) for kernel in (move_step, run_steps, score_step))

    def _threads(self) -> int:
        """Return how many threads pay off for this batch."""
        from multimargin.kernels.team import threads_for

        shape, dim = self._shape, self._tables[1][0].shape[1]
        return min(self.threads, threads_for((shape.pairs + shape.rows * shape.pool) * dim))

    def _state(self, constants: tuple[float, float, float]) -> tuple[Any, Any, Any]:
        """Return users, items and clock as compiled code sees them."""
        from multimargin.kernels.lazy_adam.cpu import as_clock, as_table

        (user_table, user_state), (item_table, item_state) = self._tables
        rate, eps_now, eps_idle = (np.array([each]) for each in constants)
        clock = as_clock(self.schedule, rate, eps_now, eps_idle, self._weight_decay)
        return as_table(user_table, user_state), as_table(item_table, item_state), clock

    def _make_room(self, shape: Shape) -> None:
        """Have scratch memory for a batch of this shape, and the rows of its pairs."""
        if shape == self._shape:
            return
        if any(wanted > there for wanted, there in zip(shape, self._most, strict=True)):
            self._most = Shape(*map(max, shape, self._most))
            n_users, (n_items, dim) = len(self._tables[0][0]), self._tables[1][0].shape
            clips = self._settings.clip_norm > 0
            self._room = new_scratch(self._most, n_users, n_items, dim, get_threads(), clips=clips)
        self._shape = shape
