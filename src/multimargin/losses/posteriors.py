"""The posteriors of Variational BPR: which positives and negatives of a row to believe, without gradient."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from multimargin import checks
from multimargin.losses.base import handed
from multimargin.losses.facts import Statistics

_HARDNESS_TEMPERATURE = 0.5  # of the priors' hardness, as published
_LEAST = 1e-12  # of a prior


class Posteriors(nn.Module):
    r"""Weights over a row's positives and over its negatives.

    .. math::
        a_m \propto \pi^+_m e^{s_m / c_+} \quad \pi^+ = r^{l_1} h^{l_2} \qquad
        b_n \propto \pi^-_n e^{-s_n / c_-} \quad \pi^- = p^{l_3} h^{l_4}

    :math:`p` is an item's popularity, log(2 + count) over its maximum, :math:`r = 1 - p` its rarity, :math:`h`
    hardness: a softmax at temperature 0.5 of low scores for positives, of high ones for negatives.

    Args:
        pos_scale: c+, above 0.
        neg_scale: c-, above 0.
        pos_rarity: l1, 0 or more; with it the indices of positives are needed.
        pos_hardness: l2, 0 or more.
        neg_popularity: l3, 0 or more; with it the indices of negatives are needed.
        neg_hardness: l4, 0 or more.
    """

    log_popularity: Tensor
    log_rarity: Tensor

    def __init__(
        self,
        pos_scale: float,
        neg_scale: float,
        *,
        pos_rarity: float,
        pos_hardness: float,
        neg_popularity: float,
        neg_hardness: float,
    ):
        super().__init__()
        self.pos_scale = checks.positive("pos_scale", pos_scale)
        self.neg_scale = checks.positive("neg_scale", neg_scale)
        self.pos_rarity = checks.not_negative("pos_rarity", pos_rarity)
        self.pos_hardness = checks.not_negative("pos_hardness", pos_hardness)
        self.neg_popularity = checks.not_negative("neg_popularity", neg_popularity)
        self.neg_hardness = checks.not_negative("neg_hardness", neg_hardness)
        self.needs = frozenset(
            name for name, each in (("positives", pos_rarity), ("negatives", neg_popularity)) if each > 0
        )
        self.ready = False

    def prepare(self, statistics: Statistics) -> None:
        """Take how popular each item is."""
        popularity = np.log1p(statistics.item_counts + 1.0)
        popularity /= popularity.max()
        for name, values in (("log_popularity", popularity), ("log_rarity", 1 - popularity)):
            logarithm = np.log(np.maximum(values, _LEAST)).astype(np.float32)
            self.register_buffer(name, torch.from_numpy(logarithm), persistent=False)
        self.ready = True

    @torch.no_grad()
    def of_positives(
        self, scores: Float[Tensor, "B M"], items: tuple[Int[Tensor, " B"] | None, Int[Tensor, "B K"] | None]
    ) -> Float[Tensor, "B M"]:
        """Return (B, M) weights that sum to 1 in each row; ``items`` are the row's own and its further positives."""
        logits = (1 / self.pos_scale - self.pos_hardness / _HARDNESS_TEMPERATURE) * scores
        if self.pos_rarity:
            own, more = handed("positives", items[0])[:, None], items[1]
            if scores.shape[1] > 1:
                own = torch.cat((own, handed("extra_positives", more)), dim=1)  # (B, M)
            logits = logits + self.pos_rarity * self.log_rarity[own].to(scores.dtype)
        return logits.softmax(-1)

    @torch.no_grad()
    def of_negatives(
        self, scores: Float[Tensor, "B N"], items: Int[Tensor, "B N"] | None, mask: Bool[Tensor, "B N"] | None
    ) -> Float[Tensor, "B N"]:
        """Return (B, N) weights that sum to 1 over the negatives of a row that count, 0 where none does."""
        logits = (self.neg_hardness / _HARDNESS_TEMPERATURE - 1 / self.neg_scale) * scores
        if self.neg_popularity:
            logits = logits + self.neg_popularity * self.log_popularity[handed("negatives", items)].to(scores.dtype)
        if mask is None:
            return logits.softmax(-1)
        logits = torch.where(mask, logits, torch.where(mask.any(-1, keepdim=True), -torch.inf, 0.0))
        return torch.where(mask, logits.softmax(-1), 0.0)
