"""The contract of a loss: scores in, one number out; it never sees a model, optimiser, sampler or data set."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NoReturn, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from multimargin import checks
from multimargin.errors import ArgumentError
from multimargin.losses.facts import Rows, Statistics, Terms
from multimargin.ranges import AnyRange, searched

INDICES = frozenset({"users", "positives", "negatives", "extra_positives"})
VECTORS = frozenset({"user_vectors", "positive_vectors", "negative_vectors"})
NEEDS = INDICES | VECTORS | {"log_q", "companion_scores", "tables"}
LAWS = frozenset({"gradient", "monotone", "batch", "negatives"})
T = TypeVar("T")


class Loss(nn.Module, ABC):
    """Base of all losses.

    Attributes:
        needs: what ``forward`` is handed as keywords beyond scores, and only then; names of ``NEEDS``. "log_q" (B, N)
            log-probability of each draw (nothing for a uniform law); "users", "positives" (B,), "negatives" (B, N),
            "extra_positives" (B, K) int64 indices; "user_vectors", "positive_vectors" (B, D), "negative_vectors"
            (B, N, D; for a small N) rows as they are scored (of length 1 for the cosine, after dropout), with
            gradients; "companion_scores" (B, K) of the items that ``companions`` names; "tables": ``start_epoch`` is
            handed all vectors.
        extra_positives: K; above 0, ``forward`` is handed ``extra_positive_scores`` (B, K) of K more items of the same
            user, drawn with replacement from all of theirs (the row's own may be among them).
        uses_negatives: false for a loss without any: nothing is drawn, ``neg_scores`` is (B, 0).
        breaks: the general laws that do not hold, of ``LAWS``. "gradient": it is that of the value (not where a part,
            such as a weight, is held fixed); "monotone": a higher positive never costs more, a higher negative never
            less; "batch": a batch twice over has the same loss; "negatives": each row's negatives twice over, too.
        similarity: what scores it is meant for: "any", or "dot" where bounded scores teach it little.
        ranges: which parameters of the constructor a search varies, and where.

    Parameters of a loss are moved by the encoder's optimiser, with its learning rate and weight decay; to climb
    instead, read them through ``ascend``. What must survive an interruption is a parameter or a buffer, made in
    ``__init__`` or ``prepare``: both are in checkpoints.
    """

    needs: frozenset[str] = frozenset()
    extra_positives: int = 0
    uses_negatives: ClassVar[bool] = True
    breaks: ClassVar[frozenset[str]] = frozenset()
    similarity: ClassVar[str] = "any"
    ranges: ClassVar[Mapping[str, AnyRange]] = searched()

    @abstractmethod
    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss of B positives with N negatives each.

        Args:
            pos_scores: (B,) score of each positive.
            neg_scores: (B, N) scores of its negatives.
            log_q: (B, N) log-probability with which each negative was drawn; used by losses that say they need it.
            mask: (B, N) true where the negative counts; None: all count. Means over N become means over those that do.

        Whatever else a loss ``needs`` is a keyword of its own, None by default, read through ``handed``.
        """

    def prepare(self, statistics: Statistics, *, rng: np.random.Generator) -> None:
        """Take counts from the training data and make what depends on them; called once, before training."""

    def start_epoch(
        self,
        epoch: int,
        *,
        user_vectors: Float[Tensor, "U D"] | None = None,
        item_vectors: Float[Tensor, "I D"] | None = None,
    ) -> None:
        """Do what is due before ``epoch`` (from 0); all vectors, as scored, for a loss that needs "tables"."""

    def companions(self, positives: Int[Tensor, " B"]) -> Int[Tensor, "B K"]:
        """Return items to be scored with the user of each row, besides; for a loss that needs "companion_scores"."""
        raise NotImplementedError(f"{type(self).__name__} needs companion_scores and must say of which items.")

    def rows_read(self, indices: Mapping[str, Tensor]) -> Mapping[nn.Parameter, Tensor]:  # noqa: ARG002
        """Return the rows of own tables with sparse gradients that ``forward`` reads, given a batch's ``INDICES``."""
        return {}

    def terms(self) -> Terms | None:
        """Return the loss as a sum over pairs if it is one, so that a whole epoch can run in compiled code."""
        return None

    def rows(self) -> Rows | None:
        """Return the loss as a function of each row's scores that kernels know, if it is one where draws are uniform.

        The mean of it over the batch is the loss. Others are computed between two compiled calls: as exact, slower.
        """
        return None

    def unprepared(self) -> NoReturn:
        """Raise, for a loss that is used before it could count."""
        name = type(self).__name__
        raise ArgumentError(f"{name} must be prepared before use. Call prepare(Statistics(...), rng=...) first.")


def handed(name: str, value: T | None) -> T:
    """Return what a loss needs if it was handed it."""
    if value is None:
        checks.fail(name, "be handed to a loss that needs it", None, f"Call it with {name}=.")
    return value


def mean_over_negatives(values: Float[Tensor, "B N"], mask: Bool[Tensor, "B N"] | None) -> Float[Tensor, " B"]:
    """Return the mean over the N negatives that count; 0 for a row in which none does."""
    if mask is None:
        return values.mean(-1)  # (B,)
    counted = torch.where(mask, values, values.new_zeros(()))  # (B, N); a product would turn a masked infinity into NaN
    return counted.sum(-1) / mask.sum(-1, dtype=torch.int32).clamp(min=1)  # (B,); int64 takes seven times as long


def at_least_float32(scores: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return 16-bit scores (autocast) as float32, others as they are: 0.9 and 0.9 + 1e-3 are one number in bfloat16."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def ascend(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return ``values`` with their gradient turned round: who descends on the result climbs with what made them."""
    return values + (values.detach() - values) * 2
