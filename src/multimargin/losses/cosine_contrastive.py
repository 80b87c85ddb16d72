"""The Cosine Contrastive Loss: one hinge on the negatives."""

from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, mean_over_negatives
from multimargin.losses.facts import Hinges
from multimargin.ranges import Range, searched


class CosineContrastiveLoss(Loss):
    r"""Pulls each positive's score up to 1 and pushes down the negatives above one margin.  Also known as: CCL.

    .. math::
        L = \frac1B \sum_b \Big( w_+ \, [1 - s_b]_+ + \frac{w_-}{N} \sum_{n=1}^{N} [s_{bn} - m]_+ \Big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`m` ``margin``, :math:`w_+` ``pos_weight``,
    :math:`w_-` ``neg_weight``. Mean over negatives, mean over the batch. A score exactly at the margin, and a positive
    exactly at 1, have gradient 0.

    Use:
        margins: cosines and many negatives, one margin and one weight to tune.
    Args:
        margin: score above which a negative is pushed, in the unit of the scores: for cosine, in (-1, 1).
        pos_weight: weight of the positive, 0 or more.
        neg_weight: weight of the mean over the negatives, 0 or more; 150 is SimpleX's for MF on Gowalla and Yelp2018.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: the margin is not finite or a weight is below 0.
    Relations:
        equals ``MultiMarginLoss((margin,), (1.0,), pos_weight=..., neg_weight=...)``.
    Source:
        Mao et al. 2021, arXiv 2109.12613, equation 3; RecZoo @88fae23, losses of RecBox @6af132f.
    Differs:
        from the paper, as the code does: a hinge on the positive; from the code, which reads a missing weight as a sum
        over the negatives: write ``neg_weight=N`` for that.
    Example:
        >>> import torch
        >>> value = CosineContrastiveLoss(0.6, neg_weight=3.0)(torch.tensor([0.8]), torch.tensor([[0.9, 0.7, 0.1]]))
        >>> print(f"{value.item():.6f}")
        0.600000
    """

    ranges = searched(margin=Range(0.0, 1.0), neg_weight=Range(1.0, 3000.0, log=True))

    def __init__(self, margin: float = 0.9, *, pos_weight: float = 1.0, neg_weight: float = 150.0):
        super().__init__()
        self.margin = checks.finite("margin", margin)
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
        pull = (1 - at_least_float32(pos_scores)).relu()  # (B,)
        push = (at_least_float32(neg_scores) - self.margin).relu()  # (B, N)
        return (self.pos_weight * pull + self.neg_weight * mean_over_negatives(push, mask)).mean()

    def terms(self) -> Hinges:
        """Return the loss as hinges: one, of slope ``neg_weight``."""
        return Hinges(self.pos_weight, (self.margin,), (self.neg_weight,))

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.margin:g}, pos_weight={self.pos_weight:g}, neg_weight={self.neg_weight:g}"
