"""What a step is made of beyond scores: the encoder's vectors, and what losses and samplers ask for."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding, normalize

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.encoders.base import Encoder
from multimargin.errors import ArgumentError
from multimargin.kernels.draws import below_reference, bits_reference
from multimargin.kernels.sampled_scores import sampled_scores
from multimargin.losses.base import NEEDS as LOSS_NEEDS
from multimargin.losses.base import Loss
from multimargin.negatives.base import NEEDS as SAMPLER_NEEDS
from multimargin.negatives.base import Blend, NegativeSampler
from multimargin.optim import LazyAdam
from multimargin.rng import CounterRng


def require_compatible(loss: Loss, negatives: NegativeSampler) -> None:
    """Raise ArgumentError where the loss asks for what the sampler cannot give, or either for what nobody has."""
    for each, known in ((loss, LOSS_NEEDS), (negatives, SAMPLER_NEEDS)):
        for need in sorted(each.needs - known):
            name = f"{type(each).__name__}.needs"
            checks.fail(name, f"be of {', '.join(sorted(known))}", need, checks.nearest(need, known))
    kind, sampler = type(loss).__name__, type(negatives).__name__
    if not loss.uses_negatives:
        if negatives.by_user:
            raise ArgumentError(f"{kind} uses no negatives, and {sampler} wants batches of whole users. Use uniform.")
        return
    if negatives.blends and loss.needs & {"negatives", "negative_vectors"}:
        raise ArgumentError(
            f"{kind} needs indices or vectors of negatives, and those of {sampler} are mixes, which have neither. "
            "Use a sampler that draws items, or a loss on scores."
        )
    if negatives.shared and "negative_vectors" in loss.needs:
        raise ArgumentError(
            f"{kind} needs a vector for each negative of each row, and {sampler} gives one set to all. "
            "Use a sampler whose rows have their own, with a small n_negatives."
        )


@dataclass(frozen=True)
class View:
    """The vectors that a step scores, and where in them its users and items are.

    Args:
        user_table: (R, D), the table of all users, or a row for each row of the batch.
        users: (B,) rows of it.
        item_table: (S, D), the table of all items, or of the distinct ones of the step.
        distinct: (S,) which items these are, increasing; None: all.
    """

    user_table: Tensor
    users: Tensor
    item_table: Tensor
    distinct: Tensor | None = None

    def locate(self, items: Tensor) -> Tensor:
        """Return the rows of ``item_table`` that hold ``items``, any shape."""
        return items if self.distinct is None else torch.searchsorted(self.distinct, items.contiguous())


def view(encoder: Encoder, users: Tensor, interactions: Tensor | None, items: Tensor) -> View:
    """Return vectors of ``users`` (B,), as of ``interactions`` (B,), if None of all their history, and of ``items``."""
    if not encoder.encodes_batches:
        user_table, item_table = encoder.tables()
        return View(user_table, users, item_table)
    index = torch.arange(len(users), device=users.device)
    if encoder.items_are_table:
        rows = encoder.encode_users(users) if interactions is None else encoder.encode_queries(users, interactions)
        assert isinstance(encoder.item_table, Tensor)  # what items_are_table says
        return View(rows, index, encoder.item_table)
    distinct = torch.unique(items)
    rows, item_rows = encoder.encode_batch(users, interactions, distinct)
    return View(rows, index, item_rows, distinct)


def rows_read(encoder: Encoder, users: Tensor, items: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
    """Return the tables with sparse gradients that a step reads, with the rows."""
    if encoder.is_table:
        user_table, item_table = encoder.tables()
        return (user_table, users), (item_table, items)
    own = tuple(encoder.rows_read(users, items).items())
    if encoder.items_are_table:
        assert isinstance(encoder.item_table, Tensor)
        return (encoder.item_table, items), *own
    return own


def scorer(
    encoder: Encoder,
    optimizer: LazyAdam,
    device: torch.device,
    batch: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]:
    """Return the ``negatives.base.Scorer`` of the model as it is; rows are caught up before they are read.

    ``batch``: users and interactions (B,) of the step; its users are scored as of their interactions, others after all.
    """

    @torch.no_grad()
    def score(users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
        u, j = (torch.from_numpy(each).to(device) for each in (users, items))
        for table, rows in rows_read(encoder, u, j.flatten()):
            optimizer.catch_up(table, rows)
        with evaluating(encoder):
            known = batch is not None and np.array_equal(users, batch[0])
            interactions = torch.from_numpy(batch[1]).to(device) if batch is not None and known else None
            seen = view(encoder, u, interactions, j.flatten())
        first = j[0].expand(len(u)) if j.dim() == 1 else j[:, 0]  # a positive, which the kernels want to have
        located = seen.locate(first), seen.locate(j)
        _, scores = sampled_scores(
            seen.user_table, seen.item_table, seen.users, *located, similarity=encoder.similarity
        )
        result: NDArray[np.float32] = scores.float().cpu().numpy()
        return result

    return score


def draw_positives(train: Interactions, users: NDArray[np.int64], k: int, *, rng: CounterRng) -> NDArray[np.int64]:
    """Return (B, K) items of each user's training data, drawn with replacement, each by its place in the stream."""
    counters = np.uint64(rng.offset * k) + np.arange(len(users) * k, dtype=np.uint64)
    counts = np.repeat(train.user_counts[users].astype(np.uint64), k)
    place = np.repeat(train.indptr[users], k) + below_reference(bits_reference(rng.key, counters), counts)
    result: NDArray[np.int64] = train.indices[place].astype(np.int64).reshape(len(users), k)
    return result


def mixed(pos_scores: Tensor, neg_scores: Tensor, blend: Blend) -> Tensor:
    """Return (B, N) scores of the mixes, from (B,) and (B, drawn)."""
    columns, weights = (torch.from_numpy(each).to(neg_scores.device) for each in (blend.columns, blend.weights))
    real = torch.cat((pos_scores[:, None], neg_scores), dim=1)  # (B, 1 + drawn)
    return (real.gather(1, columns.flatten(1)).view(columns.shape) * weights).sum(-1)  # (B, N), Σ over K


def rows_as_scored(table: Tensor, index: Tensor, encoder: Encoder) -> Tensor:
    """Return the vectors of ``index``, of length 1 for the cosine; with a gradient, sparse where it can be."""
    rows = embedding(index, table, sparse=(encoder.is_table or encoder.items_are_table) and table.is_leaf)
    return normalize(rows, dim=-1, eps=1e-12) if encoder.similarity == "cosine" else rows


@torch.no_grad()
def all_vectors(encoder: Encoder) -> tuple[Tensor, Tensor]:
    """Return all user and all item vectors as they are scored, detached, in evaluation mode."""
    with evaluating(encoder):
        tables = encoder.tables()
    if encoder.similarity == "cosine":
        return normalize(tables[0], dim=-1, eps=1e-12), normalize(tables[1], dim=-1, eps=1e-12)
    return tables[0].clone(), tables[1].clone()  # rows of a table move while they are looked at


@contextmanager
def evaluating(encoder: Encoder) -> Iterator[None]:
    """Hold the encoder in evaluation mode."""
    was_training = encoder.training
    encoder.eval()
    try:
        yield
    finally:
        encoder.train(was_training)
