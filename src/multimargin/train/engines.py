"""Ways to train on a stretch of an epoch: step by step for anything, compiled for tables."""

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multimargin.encoders.base import Encoder
from multimargin.errors import ArgumentError
from multimargin.kernels.draws import dropout_scale
from multimargin.kernels.fused_epoch import FusedEpoch
from multimargin.kernels.grouped_epoch import GroupedEpoch
from multimargin.kernels.launch import Goal, Learned
from multimargin.kernels.sampled_scores import sampled_scores
from multimargin.kernels.shared_epoch import SharedEpoch
from multimargin.losses.facts import Hinges
from multimargin.negatives import AllNegatives, SharedNegatives, UniformNegatives
from multimargin.rng import CounterRng
from multimargin.train import needs
from multimargin.train.clipping import clip_global_norm
from multimargin.train.scored import Scored, why_not_scored
from multimargin.train.setting import Engine, Setting, first_rows, for_kernels

_MANY = 64  # negatives of a row
ENGINES = ("auto", "fused", "grouped", "shared", "scored", "steps")


def choose_engine(name: str, setting: Setting) -> Engine:
    """Return the engine called ``name``; "auto" takes a compiled one where it applies.

    Raises:
        ArgumentError: a compiled one was asked for and does not apply; the message says why.
    """
    if name == "steps":
        return Steps(setting)
    for found, made in (("fused", Fused), ("grouped", Grouped), ("shared", Shared), ("scored", Scored)):
        why_not = _why_not(found, setting)
        if name == found and why_not:
            raise ArgumentError(f"engine must be 'auto' or 'steps' here; got {name!r}. {why_not}")
        passed_over = name == "auto" and made is Fused and _moves_all(setting)
        if name in ("auto", found) and not why_not and not passed_over:
            return made(setting)
    return Steps(setting)


def _moves_all(setting: Setting) -> bool:
    """Return whether a batch moves most of the items it draws, which ``Scored`` does block by block.

    With squares on Gowalla at B = 256 and 1,024 it takes .79 and .64 of what ``Fused`` does for N = 100, and 1.2 and
    2.1 times as long for N = 10.
    """
    return not isinstance(setting.loss.terms(), Hinges) and setting.n_negatives >= _MANY


def _why_not(engine: str, setting: Setting) -> str:
    if not setting.encoder.is_table:
        return f"{type(setting.encoder).__name__} computes its tables."
    if type(setting.encoder).auxiliary_loss is not Encoder.auxiliary_loss:
        return f"{type(setting.encoder).__name__} adds a loss of its own."
    table = setting.encoder.tables()[0]  # the parameter itself
    if table.device.type != "cpu" or table.dtype != torch.float32:
        return f"The tables are {table.dtype} on {table.device}."
    if engine == "scored":
        return why_not_scored(setting)
    terms = setting.loss.terms()
    if terms is None:
        return f"{type(setting.loss).__name__} is not a sum over pairs."
    if engine == "fused" and not isinstance(setting.negatives, UniformNegatives):
        return f"{type(setting.negatives).__name__} is not drawn inside the kernel."
    if engine == "grouped" and not isinstance(setting.negatives, AllNegatives):
        return f"{type(setting.negatives).__name__} is not AllNegatives."
    if engine == "shared":
        if not isinstance(setting.negatives, SharedNegatives):
            return f"{type(setting.negatives).__name__} is not SharedNegatives."
        if type(setting.negatives.law) is not UniformNegatives:
            return f"A pool of {type(setting.negatives.law).__name__} is not drawn inside the kernel."
    return ""


class Fused(Engine):
    """The compiled engine: everything of a step in one kernel."""

    def __init__(self, setting: Setting):
        learned, goal = _for_kernels("fused", setting)
        assert isinstance(setting.negatives, UniformNegatives)
        self.setting = setting
        self._kernel = FusedEpoch(
            learned,
            goal,
            pair_users=setting.train.user_index,
            pair_items=setting.train.indices,
            n_negatives=setting.n_negatives,
            negatives_key=setting.negatives_key,
            seen=setting.negatives.excluded() if setting.negatives.exclude_seen else None,
        )
        setting.negatives.require_unseen(np.flatnonzero(setting.train.user_counts))

    def run(self, order: NDArray[np.int64], start: int, stop: int, *, place: int) -> float:
        """Train on the stretch in one call."""
        rate = self.setting.optimizer.options["lr"]
        return self._kernel.run(order, start, stop, place=place, batch_size=self.setting.batch_size, learning_rate=rate)


class Grouped(Engine):
    """The compiled engine for all negatives: whole users, each scored with the catalogue once."""

    def __init__(self, setting: Setting):
        learned, goal = _for_kernels("grouped", setting)
        assert isinstance(setting.negatives, AllNegatives)
        self.setting = setting
        self._kernel = GroupedEpoch(
            learned,
            goal,
            indptr=setting.train.indptr,
            indices=setting.train.indices,
            exclude_seen=setting.negatives.exclude_seen,
        )
        setting.negatives.require_unseen(np.flatnonzero(setting.train.user_counts))

    def run(self, order: NDArray[np.int64], start: int, stop: int, *, place: int) -> float:
        """Train on the stretch in one call."""
        batches = self.setting.batches
        last = batches.user_ends(order, start, stop)
        first = np.append(start, last)[:-1].astype(np.int64)
        ends = np.searchsorted(last, batches.ends(order, start, stop)) + 1  # in users, no longer in interactions
        people = self.setting.train.user_index[order[first]].astype(np.int64)
        return self._kernel.run(people, place + first, ends, learning_rate=self.setting.optimizer.options["lr"])


class Shared(Engine):
    """The compiled engine for a pool of negatives that each batch shares."""

    def __init__(self, setting: Setting):
        learned, goal = _for_kernels("shared", setting)
        assert isinstance(setting.negatives, SharedNegatives)
        self.setting = setting
        self._kernel = SharedEpoch(
            learned,
            goal,
            pair_users=setting.train.user_index,
            pair_items=setting.train.indices,
            n_negatives=setting.n_negatives,
            negatives_key=setting.negatives_key,
            seen=(setting.train.indptr, setting.train.indices) if setting.negatives.exclude_seen else None,
        )
        setting.negatives.require_unseen(np.flatnonzero(setting.train.user_counts))

    def run(self, order: NDArray[np.int64], start: int, stop: int, *, place: int) -> float:
        """Train on the stretch in one call."""
        rate = self.setting.optimizer.options["lr"]
        return self._kernel.run(order, start, stop, place=place, batch_size=self.setting.batch_size, learning_rate=rate)


def _for_kernels(engine: str, setting: Setting) -> tuple[Learned, Goal]:
    """Return the tables and what they are moved for, as kernels know them.

    Raises:
        ArgumentError: the engine does not apply.
    """
    terms, why_not = setting.loss.terms(), _why_not(engine, setting)
    if terms is None or why_not:
        raise ArgumentError(why_not)
    (users, items), optimizer = setting.encoder.tables(), setting.optimizer
    learned = Learned(
        users,
        items,
        optimizer.rows_of(users),
        optimizer.rows_of(items),
        optimizer.schedule,
        weight_decay=optimizer.options["weight_decay"],
    )
    goal = Goal(
        cosine=setting.encoder.similarity == "cosine",
        terms=for_kernels(terms),
        dropout=np.float32(setting.dropout),
        dropout_key=np.uint64(setting.dropout_key),
        clip_norm=float(setting.clip_norm or 0.0),
    )
    return learned, goal


class Steps(Engine):
    """The general engine: one step at a time, any encoder, loss and sampler, on any device."""

    def __init__(self, setting: Setting):
        self.setting = setting
        self._parameters = [p for group in setting.optimizer.param_groups for p in group["params"]]

    def run(self, order: NDArray[np.int64], start: int, stop: int, *, place: int) -> float:
        """Train on the stretch, batch by batch."""
        total = 0.0
        for end in self.setting.batches.ends(order, start, stop):
            pairs = order[start:end]
            total += self._step(pairs, place + start) * len(pairs)
            start = end
        return total

    def _step(self, pairs: NDArray[np.int64], place: int) -> float:
        s = self.setting
        # 1. who, what, and against what
        users = s.train.user_index[pairs].astype(np.int64)  # (B,)
        positives = s.train.indices[pairs].astype(np.int64)  # (B,)
        drawn = s.draw(users, positives, place, pairs)
        u, i, j = (self._tensor(array) for array in (users, positives, drawn.index))
        others = s.others(users, i, place)  # (B, K) to be scored besides
        indices = {"users": u, "positives": i, "negatives": j.expand(len(u), -1)}
        indices["extra_positives"] = others[:, : s.loss.extra_positives]
        # 2. the rows about to be read, as dense Adam would have them
        s.encoder.start_step(CounterRng(s.encoder_key, place))
        items = torch.cat((i, j.flatten(), others.flatten()))
        for table, rows in (*needs.rows_read(s.encoder, u, items), *s.loss.rows_read(indices).items()):
            s.optimizer.catch_up(table, rows)
        # 3. scores, loss, gradient
        view = needs.view(s.encoder, u, self._tensor(pairs), items)
        query_scale = self._dropout(users, view.user_table.shape[1], place)
        scored = partial(
            sampled_scores,
            view.user_table,
            view.item_table,
            view.users,
            view.locate(i),
            similarity=s.encoder.similarity,
            query_scale=query_scale,
            sparse=s.encoder.is_table or s.encoder.items_are_table,
        )
        pos_scores, neg_scores = scored(view.locate(j))
        if drawn.blend is not None:
            neg_scores = needs.mixed(pos_scores, neg_scores, drawn.blend)
        extras = {name: index for name, index in indices.items() if name in s.loss.needs}
        if drawn.mask is not None:
            extras["mask"] = self._tensor(drawn.mask)
        if "log_q" in s.loss.needs and drawn.log_q is not None:
            extras["log_q"] = self._tensor(drawn.log_q).expand_as(neg_scores)  # (B, N), a shared set's too
        if others.shape[1]:
            other_scores = scored(view.locate(others))[1]  # (B, K)
            if s.loss.extra_positives:
                extras["extra_positive_scores"] = other_scores[:, : s.loss.extra_positives]
            if "companion_scores" in s.loss.needs:
                extras["companion_scores"] = other_scores[:, s.loss.extra_positives :]
        if "user_vectors" in s.loss.needs:
            vectors = needs.rows_as_scored(view.user_table, view.users, s.encoder)
            extras["user_vectors"] = vectors if query_scale is None else vectors * query_scale
        for name, index in (("positive_vectors", i), ("negative_vectors", j)):
            if name in s.loss.needs:
                extras[name] = needs.rows_as_scored(view.item_table, view.locate(index), s.encoder)
        loss = s.loss(pos_scores, neg_scores, **extras)
        auxiliary = s.encoder.auxiliary_loss(u, i, j)
        if auxiliary is not None:
            loss = loss + auxiliary
        loss.backward()
        # 4. move
        if s.clip_norm is not None:
            clip_global_norm(self._parameters, s.clip_norm)
        s.optimizer.step()
        s.optimizer.zero_grad()
        return float(loss.detach())

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.setting.device)

    def _dropout(self, users: NDArray[np.int64], dim: int, place: int) -> Tensor | None:
        if self.setting.dropout == 0:
            return None
        # numba takes a Python int for a signed one
        scale = dropout_scale(np.uint64(self.setting.dropout_key), place, len(users), dim, self.setting.dropout)
        if self.setting.batches.by_user:
            scale = scale[first_rows(users)]
        return self._tensor(scale)
