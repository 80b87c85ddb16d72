"""SimCE: a hinge on the hardest of the drawn negatives."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32
from multimargin.ranges import Range, searched


class SimCELoss(Loss):
    r"""Rewards each positive for scoring a margin above the hardest of its negatives.  Also known as: SimCE, simplified
    sampled softmax cross-entropy.

    .. math::
        L = \frac1B \sum_b \big[m - s_b + \max_n s_{bn}\big]_+

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`m` ``margin``. Mean over the batch. Only the
    highest negative of a row has a gradient (equal ones share it), so the backward pass of scores is nearly free.
    Meant for unbounded scores (``similarity="dot"``). The maximum of more draws is larger: N is a hardness here.

    Use:
        pairs: dot products and many negatives, of which only the hardest shall count.
    Args:
        margin: by how much a positive must be ahead, in the unit of the scores, 0 or more.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: the margin is below 0.
    Relations:
        ``PairwiseMarginLoss`` on the hardest negative; what ``KPairBPRLoss`` tends to when scores grow.
    Source:
        Yang et al. 2024, arXiv 2406.16170; the PyTorch listing in the authors' README (margin 5, mean over the batch).
    Differs:
        none known. The bound that the paper starts from, log(1 + N e^max) <= log(1 + N) + max for a positive maximum,
        has a log N: it moves the margin only, the listing has none, and so ``margin`` stands for both.
    Example:
        >>> import torch
        >>> print(f"{SimCELoss(1.0)(torch.tensor([0.8]), torch.tensor([[0.3, -0.4]])).item():.6f}")
        0.500000
    """

    ranges = searched(margin=Range(0.1, 10.0, log=True))

    def __init__(self, margin: float = 5.0):
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
        neg_scores = at_least_float32(neg_scores)
        if mask is not None:
            neg_scores = torch.where(mask, neg_scores, -torch.inf)  # (B, N); a row of nothing else costs nothing
        return (self.margin - at_least_float32(pos_scores) + neg_scores.amax(-1)).relu().mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.margin:g}"
