"""The pairwise margin loss: a hinge on the difference of positive and negative."""

from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, mean_over_negatives
from multimargin.ranges import Range, searched


class PairwiseMarginLoss(Loss):
    r"""Rewards each positive for scoring a margin above each of its negatives.  Also known as: pairwise hinge loss,
    triplet loss on scores, margin ranking loss, TOP1-max's hinge.

    .. math::
        L = \frac1B \sum_b \frac1N \sum_{n=1}^{N} [m + s_{bn} - s_b]_+

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`m` ``margin``. Mean over negatives, mean over
    the batch. A pair exactly at the margin has gradient 0.

    Use:
        pairs: scores of a known scale, where being ahead by a margin is enough.
    Args:
        margin: by how much a positive must be ahead, in the unit of the scores, 0 or more; cosines differ by at most 2.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: the margin is below 0.
    Relations:
        ``SimCELoss`` takes the hardest negative alone, ``WARPLoss`` weighs by rank.
    Source:
        Weston et al. 2011, "WSABIE" (the margin penalty); RecBox @6af132f, PairwiseMarginLoss.
    Differs:
        none known.
    Example:
        >>> import torch
        >>> print(f"{PairwiseMarginLoss(1.0)(torch.tensor([0.8]), torch.tensor([[0.3, -0.4]])).item():.6f}")
        0.250000
    """

    ranges = searched(margin=Range(0.05, 2.0))

    def __init__(self, margin: float = 1.0):
        super().__init__()
        self.margin = checks.not_negative("margin", margin)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        behind = at_least_float32(neg_scores) - at_least_float32(pos_scores)[:, None]  # (B, N)
        return mean_over_negatives((behind + self.margin).relu(), mask).mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.margin:g}"
