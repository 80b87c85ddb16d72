"""WARP: a pairwise hinge weighed by an estimate of the positive's rank."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, mean_over_negatives
from multimargin.losses.facts import Statistics
from multimargin.ranges import Range, searched


class WARPLoss(Loss):
    r"""Rewards each positive for scoring a margin above its negatives, the more the lower it seems to rank.
    Also known as: weighted approximate-rank pairwise loss, WSABIE.

    .. math::
        L = \frac1B \sum_b \Phi\Big(\frac{(I - 1)\,|V_b|}{N}\Big) \frac{1}{|V_b|} \sum_{n \in V_b} (m + s_{bn} - s_b)
        \qquad V_b = \{ n : s_{bn} > s_b - m \} \qquad \Phi(r) = \sum_{k=1}^{r} \frac1k

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`m` ``margin``, I the number of items. All N
    draws are looked at together: the share of them that violates the margin estimates the rank, and their mean stands
    for the one violator that the original takes. Mean over violators, mean over the batch. The rank has no gradient. It
    jumps where a draw starts to violate: the mean over violators then falls, so raising a negative can lower the loss.

    Use:
        pairs: lists whose first places matter, and N draws to estimate a rank from.
    Args:
        margin: by how much a positive must be ahead, in the unit of the scores, above 0.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: the margin is not above 0, or it was not prepared.
    Relations:
        ``PairwiseMarginLoss`` with a mean over violators, times the weight of the rank.
    Source:
        Weston et al. 2011, "WSABIE: scaling up to large vocabulary image annotation", section 4, with weights 1/k.
    Differs:
        the original draws one item after another until one violates, and takes (I - 1) over the number of draws,
        rounded down, for the rank; here N draws give (I - 1) times the share that violates: the same estimate's
        inverse, with less noise, for a batch, and whatever the order. The harmonic sum is continued to real ranks.
    Example:
        >>> from multimargin.losses.facts import Statistics
        >>> loss = WARPLoss(0.5)
        >>> loss.prepare(Statistics(1, 9, np.array([0]), np.array([0])), rng=np.random.default_rng(0))
        >>> print(f"{loss(torch.tensor([0.8]), torch.tensor([[0.4, 0.2, -0.3, 0.7]])).item():.6f}")
        0.520833
    """

    breaks = frozenset({"monotone"})
    n_items: Tensor
    ranges = searched(margin=Range(0.05, 2.0))

    def __init__(self, margin: float = 1.0):
        super().__init__()
        self.margin = checks.positive("margin", margin)
        self.register_buffer("n_items", torch.zeros((), dtype=torch.int64))

    def prepare(self, statistics: Statistics, *, rng: np.random.Generator) -> None:  # noqa: ARG002 - nothing is drawn
        """Take the number of items."""
        self._prepared = True
        self.n_items.fill_(statistics.n_items)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        if not getattr(self, "_prepared", False):
            self.unprepared()
        behind = at_least_float32(neg_scores) - at_least_float32(pos_scores)[:, None] + self.margin  # (B, N)
        violates = behind > 0 if mask is None else (behind > 0) & mask  # (B, N)
        share = mean_over_negatives(violates.to(behind.dtype), mask)  # (B,)
        rank = (self.n_items - 1) * share
        harmonic = torch.digamma(rank + 1) + np.euler_gamma  # 1 + 1/2 + ... + 1/rank for whole numbers
        return (harmonic * mean_over_negatives(behind, violates)).mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.margin:g}"
