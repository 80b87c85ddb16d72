"""Sigmoid cross-entropy: every pair is a case of its own, positive or not."""

from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.base import Loss, at_least_float32, mean_over_negatives
from multimargin.losses.facts import Logistic
from multimargin.ranges import Range, searched


class SigmoidCrossEntropyLoss(Loss):
    r"""Raises the sigmoid of each positive's score and lowers that of each negative's.  Also known as: BCE, binary
    cross-entropy, logistic loss, log loss.

    .. math::
        L = \frac1B \sum_b \Big( -w_+ \log \sigma(s_b / \tau)
        - \frac{w_-}{N} \sum_{n=1}^{N} \log \sigma(-s_{bn} / \tau) \Big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`\tau` ``temperature``, :math:`w_+`
    ``pos_weight``, :math:`w_-` ``neg_weight``. Mean over negatives, mean over the batch. Meant for unbounded scores
    (``similarity="dot"``); cosines need a temperature of about 0.1.

    Use:
        single scores: dot products whose sigmoid shall be a probability.
    Args:
        temperature: what scores are divided by, above 0.
        pos_weight: weight of the positive, 0 or more.
        neg_weight: weight of the mean over the negatives, 0 or more; N gives the published sum.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: the temperature is not above 0, or a weight is below 0.
    Relations:
        with ``temperature == 1``, ``1 + neg_weight`` times ``GeneralizedBCELoss(0.0, neg_weight=...)``.
    Source:
        RecBox @6af132f, ``SigmoidCrossEntropyLoss``; He et al. 2017, arXiv 1708.05031, equation 7.
    Differs:
        from RecBox, which adds up batch and negatives: its loss is B times this one with ``neg_weight=N``; a
        temperature is not published, 1 is none.
    Example:
        >>> import torch
        >>> loss = SigmoidCrossEntropyLoss(neg_weight=2.0)
        >>> print(f"{loss(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])).item():.6f}")
        1.823595
    """

    similarity: ClassVar[str] = "dot"
    ranges = searched(temperature=Range(0.05, 2.0, log=True), neg_weight=Range(0.1, 100.0, log=True))

    def __init__(self, temperature: float = 1.0, *, pos_weight: float = 1.0, neg_weight: float = 1.0):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
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
        pull = softplus(-at_least_float32(pos_scores) / self.temperature)  # (B,)
        push = mean_over_negatives(softplus(at_least_float32(neg_scores) / self.temperature), mask)  # (B,)
        return (self.pos_weight * pull + self.neg_weight * push).mean()

    def terms(self) -> Logistic:
        """Return the loss as logistic terms."""
        return Logistic(self.pos_weight, self.neg_weight, self.temperature)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.temperature:g}, pos_weight={self.pos_weight:g}, neg_weight={self.neg_weight:g}"
