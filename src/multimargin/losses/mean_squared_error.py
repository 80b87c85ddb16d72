"""Mean squared error: positives are to score 1, negatives 0."""

from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, mean_over_negatives
from multimargin.losses.facts import Squares
from multimargin.ranges import Range, searched


class MeanSquaredErrorLoss(Loss):
    r"""Pulls each positive's score to 1 and each negative's to 0.  Also known as: MSE, squared loss.

    .. math::
        L = \frac1B \sum_b \Big( \frac{w_+}{2} (s_b - 1)^2 + \frac{w_-}{2N} \sum_{n=1}^{N} s_{bn}^2 \Big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`w_+` ``pos_weight``, :math:`w_-`
    ``neg_weight``. Mean over negatives, mean over the batch. A positive above 1 is pushed down, a negative below 0
    pulled up.

    Use:
        single scores: a quadratic baseline, or all items as negatives.
    Args:
        pos_weight: weight of the positive, 0 or more.
        neg_weight: weight of the mean over the negatives, 0 or more; N gives RecBox's sum.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: a weight is below 0.
    Relations:
        with all items as negatives, the loss of weighted matrix factorisation (WMF, implicit ALS), where each
        positive counts as a negative of weight ``neg_weight / N`` as well.
    Source:
        RecBox @6af132f, ``MSELoss``; Hu et al. 2008, equation 3.
    Differs:
        from RecBox, which adds up the negatives: its loss is this one with ``neg_weight=N``.
    Example:
        >>> import torch
        >>> loss = MeanSquaredErrorLoss(neg_weight=3.0)
        >>> print(f"{loss(torch.tensor([0.8]), torch.tensor([[0.9, -0.7, 0.1]])).item():.6f}")
        0.675000
    """

    breaks: ClassVar[frozenset[str]] = frozenset({"monotone"})
    ranges = searched(neg_weight=Range(0.1, 1000.0, log=True))

    def __init__(self, *, pos_weight: float = 1.0, neg_weight: float = 1.0):
        super().__init__()
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
        pull = (at_least_float32(pos_scores) - 1).square()  # (B,)
        push = mean_over_negatives(at_least_float32(neg_scores).square(), mask)  # (B,)
        return (self.pos_weight * pull + self.neg_weight * push).mean() / 2

    def terms(self) -> Squares:
        """Return the loss as squares."""
        return Squares(self.pos_weight, self.neg_weight)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"pos_weight={self.pos_weight:g}, neg_weight={self.neg_weight:g}"
