"""The Multi-Margin Loss with a mean over active negatives."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, mean_over_negatives
from multimargin.losses.margins import margin_tensors, margins_shown, multi_margin_hinge
from multimargin.ranges import Increasing, Range, Shares, searched


class MultiMarginActiveLoss(Loss):
    r"""Multi-Margin Loss with a mean over active negatives only, those above a margin.  Also known as: MML, mean over
    active negatives.

    .. math::
        L = \frac1B \sum_b \Big( w_+ [1 - s_b]_+ + \frac{w_-}{|A_b|} \sum_{n \in A_b}
        \frac{1}{|K_{bn}|} \sum_{k \in K_{bn}} a_k (s_{bn} - m_k) \Big)

    Letters as in ``MultiMarginLoss``; :math:`K_{bn}` are the margins of weight above 0 that the score exceeds,
    :math:`A_b` the negatives that exceed one. Mean over the batch. It jumps where a score passes a margin: a negative
    that becomes active lowers the mean of those that were, and the loss with it; so hard negatives count alike however
    rare they are, and ``neg_weight`` must be far smaller than for ``MultiMarginLoss``.

    Use:
        margins: a look at what averaging over the hard negatives alone does; its author advises against it.
    Args:
        margins: (M,) increasing strictly, in the unit of the scores.
        margin_weights: (M,) 0 or more, one per margin.
        pos_weight: weight of the positive, 0 or more.
        neg_weight: weight of the mean over active negatives, 0 or more.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: margins do not increase strictly, or there is not one weight, 0 or more, for each.
    Relations:
        ``MultiMarginLoss`` with a mean over all negatives and a sum over margins.
    Source:
        mgulcin/mmcl @9b90663, ``tmp/multi_cosine_contrastive_loss copy.py``, mean "v1", which its author advises
        against.
    Differs:
        from the code: no 1e-10 in the denominators. No settings were published; ``neg_weight`` 10 is ours.
    Example:
        >>> loss = MultiMarginActiveLoss((0.6, 0.9), (0.25, 0.75), neg_weight=2.0)
        >>> print(f"{loss(torch.tensor([0.5]), torch.tensor([[0.95, 0.65, 0.10]])).item():.6f}")
        0.575000
    """

    breaks = frozenset({"monotone"})
    margins: Tensor
    margin_weights: Tensor
    _counted: Tensor
    ranges = searched(margins=Increasing(0.0, 1.0), margin_weights=Shares(), neg_weight=Range(0.1, 300.0, log=True))

    def __init__(
        self,
        margins: Iterable[float] = (0.7, 0.8, 0.9),
        margin_weights: Iterable[float] = (0.1, 0.15, 0.75),
        *,
        pos_weight: float = 1.0,
        neg_weight: float = 10.0,
    ):
        super().__init__()
        margins, margin_weights = margin_tensors(margins, margin_weights)
        self.register_buffer("margins", margins)  # (M,)
        self.register_buffer("margin_weights", margin_weights)  # (M,)
        self.register_buffer("_counted", margins[margin_weights > 0], persistent=False)
        self.pos_weight = checks.not_negative("pos_weight", pos_weight)
        self.neg_weight = checks.not_negative("neg_weight", neg_weight)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        neg_scores = at_least_float32(neg_scores).contiguous()
        push = multi_margin_hinge(neg_scores, self.margins, self.margin_weights)  # (B, N)
        exceeded = torch.bucketize(neg_scores.detach(), self._counted, out_int32=True)  # (B, N)
        active = exceeded > 0 if mask is None else (exceeded > 0) & mask  # (B, N)
        push = mean_over_negatives(push / exceeded.clamp(min=1), active)  # (B,)
        return (self.pos_weight * (1 - at_least_float32(pos_scores)).relu() + self.neg_weight * push).mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        shown = margins_shown(self.margins, self.margin_weights)
        return f"{shown}, pos_weight={self.pos_weight:g}, neg_weight={self.neg_weight:g}"
