"""The contract of a loss: scores in, one number out; it never sees a model, optimiser, sampler or data set."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Hinges:
    r"""What the whole-epoch kernel needs to know of a margin loss.

    .. math:: \ell(u,i) = p\,[1 - s_{ui}]_+ + \frac1N \sum_j \sum_k a_k [s_{uj} - m_k]_+

    Args:
        positive_slope: p.
        margins: the m_k, increasing.
        slopes: the a_k, one per margin (every weight multiplied in).
    """

    positive_slope: float
    margins: tuple[float, ...]
    slopes: tuple[float, ...]


class Loss(nn.Module, ABC):
    """Base of all losses.

    ``needs`` names what beyond scores must be handed over as keywords: "log_q" (log-probability of each negative).
    ``breaks`` names the general laws that do not hold. "monotone": a higher positive never costs more, a higher
    negative never less.
    ``similarity`` is what scores it is meant for: "any", or "dot" where bounded scores teach it little.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    breaks: ClassVar[frozenset[str]] = frozenset()
    similarity: ClassVar[str] = "any"

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
        """

    def hinges(self) -> Hinges | None:
        """Return the loss as a sum of hinges if it is one, so that a whole epoch can run in compiled code."""
        return None


def mean_over_negatives(values: Float[Tensor, "B N"], mask: Bool[Tensor, "B N"] | None) -> Float[Tensor, " B"]:
    """Return the mean over the N negatives that count; 0 for a row in which none does."""
    if mask is None:
        return values.mean(-1)  # (B,)
    counted = torch.where(mask, values, values.new_zeros(()))  # (B, N); a product would turn a masked infinity into NaN
    return counted.sum(-1) / mask.sum(-1).clamp(min=1)  # (B,)


def at_least_float32(scores: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return 16-bit scores (autocast) as float32, others as they are: 0.9 and 0.9 + 1e-3 are one number in bfloat16."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
