"""The engine for any loss on scores: compiled scores and moves, and between them the loss in PyTorch."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multimargin.kernels.pace import Pace
from multimargin.kernels.scored_steps import ScoredSteps
from multimargin.kernels.scored_steps.rows import RowLoss, of_differences, of_pairs, of_softmax
from multimargin.kernels.threads import get_threads
from multimargin.losses.base import VECTORS, Loss
from multimargin.losses.facts import PairwiseLogistic, SoftMaximum
from multimargin.negatives import SharedNegatives, UniformNegatives
from multimargin.negatives.base import NegativeSampler
from multimargin.train import needs
from multimargin.train.clipping import gradient_values, joint_norm
from multimargin.train.setting import Engine, Setting, first_rows, for_kernels

_PIECE = 64  # steps with one number of threads: short enough to change it, long enough not to notice


def why_not_scored(setting: Setting) -> str:
    """Return why the engine cannot train with this loss; nothing if it can."""
    wanted = setting.loss.needs & VECTORS
    if wanted:
        return f"{type(setting.loss).__name__} needs {', '.join(sorted(wanted))}, which are not scores."
    return ""


class Scored(Engine):
    """The compiled engine for any loss on scores: tables, any sampler, CPU.

    A step is a compiled call that scores, the loss on what it found, and a compiled call that moves rows by the
    gradient of the scores. PyTorch runs on one thread here: on a batch's scores more pay little, and when they wait
    for one another they take the cores of the compiled calls.
    """

    def __init__(self, setting: Setting):
        tables = setting.encoder.tables()
        self.setting = setting
        self._own = [p for p in setting.optimizer.options["params"] if all(p is not table for table in tables)]
        sampler, loss = setting.negatives, setting.loss
        uniform = isinstance(sampler, UniformNegatives) and loss.uses_negatives
        # the compiled call draws them itself, where nobody else asks for their indices
        self._draws = uniform and "negatives" not in loss.needs and not self._own
        self._kernel = ScoredSteps(
            tables[0],
            tables[1],
            setting.optimizer.rows_of(tables[0]),
            setting.optimizer.rows_of(tables[1]),
            setting.optimizer.schedule,
            cosine=setting.encoder.similarity == "cosine",
            dropout_key=setting.dropout_key,
            dropout=setting.dropout,
            clip_norm=setting.clip_norm,
            weight_decay=setting.optimizer.options["weight_decay"],
            negatives_key=setting.negatives_key,
            seen=sampler.excluded() if isinstance(sampler, UniformNegatives) and sampler.exclude_seen else None,
        )
        self._known = _for_kernels(loss) if (self._draws or _pools(sampler)) and not setting.batches.by_user else None
        self._pace = Pace(get_threads())
        if self._draws or self._known:
            assert isinstance(sampler, UniformNegatives | SharedNegatives)
            sampler.require_unseen(np.flatnonzero(setting.train.user_counts))

    def run(self, order: NDArray[np.int64], start: int, stop: int, *, place: int) -> float:
        """Train on the stretch, batch by batch."""
        if self._known is not None:
            return self._run_known(self._known, order, start, stop, place)
        total, ends = 0.0, self.setting.batches.ends(order, start, stop)
        with _one_torch_thread():
            while len(ends):
                self._kernel.threads, at_most = self._pace.choose(_PIECE)
                first, known, started = start, self._kernel.n_compiled(), time.perf_counter()
                for end in map(int, ends[:at_most]):
                    total += self._step(order[start:end], place + start) * (end - start)
                    start = end
                self._record(start - first, known, started)
                ends = ends[at_most:]
        return total

    def _run_known(self, loss: RowLoss, order: NDArray[np.int64], start: int, stop: int, place: int) -> float:
        """Train on the stretch, piece by piece, with a loss that the kernel knows."""
        s, total = self.setting, 0.0
        while start < stop:
            self._kernel.threads, at_most = self._pace.choose(_PIECE)
            end = min(start + at_most * s.batch_size, stop)
            known, started = self._kernel.n_compiled(), time.perf_counter()
            pairs = order[start:end]
            total = self._kernel.run(
                s.train.user_index[pairs],
                s.train.indices[pairs],
                loss,
                n_negatives=s.n_negatives,
                shared=s.negatives.shared,
                place=place + start,
                batch_size=s.batch_size,
                learning_rate=s.optimizer.options["lr"],
                total=total,
            )
            self._record(end - start, known, started)
            start = end
        return total

    def _record(self, rows: int, known: int, started: float) -> None:
        """Tell the pace how long a piece took, unless something was compiled in it."""
        if self._kernel.n_compiled() == known:
            self._pace.record(self._kernel.threads, rows, time.perf_counter() - started)

    def _step(self, pairs: NDArray[np.int64], place: int) -> float:
        s = self.setting
        # 1. who, what, and against what
        users = s.train.user_index[pairs].astype(np.int64)  # (B,)
        positives = s.train.indices[pairs].astype(np.int64)  # (B,)
        drawn = None if self._draws else s.draw(users, positives, place)
        i = torch.from_numpy(positives)
        others = s.others(users, i, place)  # (B, K) to be scored besides
        extras = self._indices(users, i, drawn, others)
        # 2. scores, loss, gradient
        alike = others.shape[1] > 0 and others.stride(0) == 0
        found = self._kernel.score(
            users,
            positives,
            others=(others[0] if alike else others).numpy(),
            negatives=s.n_negatives if drawn is None else drawn.index,
            place=place,
            dropout_place=place + first_rows(users) if s.batches.by_user else place,
        )
        leaves = [torch.from_numpy(scores).requires_grad_() for scores in found]
        pos_scores, other_scores, neg_scores = leaves
        if drawn is not None:
            if drawn.blend is not None:
                neg_scores = needs.mixed(pos_scores, neg_scores, drawn.blend)
            if drawn.mask is not None:
                extras["mask"] = torch.from_numpy(drawn.mask)
            if "log_q" in s.loss.needs and drawn.log_q is not None:
                extras["log_q"] = torch.from_numpy(drawn.log_q).expand_as(neg_scores)  # (B, N), a shared set's too
        if s.loss.extra_positives:
            extras["extra_positive_scores"] = other_scores[:, : s.loss.extra_positives]
        if "companion_scores" in s.loss.needs:
            extras["companion_scores"] = other_scores[:, s.loss.extra_positives :]
        loss = s.loss(pos_scores, neg_scores, **extras)
        loss.backward()
        # 3. move
        slopes = [None if leaf.grad is None else leaf.grad.numpy() for leaf in leaves]
        self._move(slopes)
        return float(loss.detach())

    def _indices(self, users: NDArray[np.int64], positives: Tensor, drawn: Any, others: Tensor) -> dict[str, Any]:
        """Return the indices that the loss needs, with the rows of its own tables brought up to date."""
        loss = self.setting.loss
        wanted: dict[str, Tensor] = {}
        if loss.needs or self._own:
            wanted = {"users": torch.from_numpy(users), "positives": positives}
            wanted["extra_positives"] = others[:, : loss.extra_positives]
            if drawn is not None:
                wanted["negatives"] = torch.from_numpy(drawn.index).expand(len(users), -1)
            for table, rows in loss.rows_read(wanted).items():
                self.setting.optimizer.catch_up(table, rows)
        return {name: index for name, index in wanted.items() if name in loss.needs}

    def _move(self, slopes: list[NDArray[np.float32] | None]) -> None:
        """Take a step with the gradients of positives, others and negatives, and those of the loss's own parameters."""
        optimizer = self.setting.optimizer
        values = gradient_values(self._own)
        constants = optimizer.schedule.advance(optimizer.options["lr"])
        more = float(joint_norm(values)) ** 2 if values else 0.0
        scale = self._kernel.move(*slopes, constants=constants, more=more)
        if values:
            for value in values:
                value.mul_(scale)
            optimizer.move(constants)
            optimizer.zero_grad()


def _pools(sampler: NegativeSampler) -> bool:
    """Return whether kernels draw the pool of a batch as the sampler does."""
    return isinstance(sampler, SharedNegatives) and type(sampler.law) is UniformNegatives and not sampler.exclude_seen


def _for_kernels(loss: Loss) -> RowLoss | None:
    """Return a loss as the kernel knows it, if it does."""
    rows, terms = loss.rows(), loss.terms()
    if isinstance(rows, SoftMaximum):
        return of_softmax(rows.temperature, rows.neg_weight, rows.pos_weight, rows.pos_temperature)
    if isinstance(rows, PairwiseLogistic):
        return of_differences()
    return None if terms is None else of_pairs(for_kernels(terms))


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Hold PyTorch to one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
