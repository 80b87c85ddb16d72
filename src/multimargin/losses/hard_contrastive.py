"""The contrastive loss with hard negatives: debiased softmax in which high negatives count more."""

import math

from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32
from multimargin.losses.debiased_contrastive import debiased_softmax
from multimargin.losses.reductions import log_mean_exp
from multimargin.ranges import Range, searched


class HardContrastiveLoss(Loss):
    r"""Debiased softmax loss in which a negative counts the more the higher it scores.  Also known as: HCL.

    .. math::
        L = \frac1B \sum_b \log\Big(1 + w_-\, g_b\, e^{-s_b/\tau}\Big) \qquad
        g_b = \max\Big( \frac{\frac{\sum_n e^{(1+\beta) s_{bn}/\tau}}{\sum_n e^{\beta s_{bn}/\tau}}
        - \tau_+\, e^{s_b/\tau}}{1 - \tau_+},\; e^{s_{\min}/\tau} \Big)

    Letters as in ``DebiasedContrastiveLoss``, :math:`\beta` is ``hardness``. The weights have gradients too, so that
    raising the lowest of the negatives can lower the loss. Mean over the batch.

    Use:
        doubtful negatives: the same, with hard negatives preferred.
    Args:
        temperature: what scores are divided by, above 0.
        hardness: how strongly high negatives are preferred, 0 or more; on images 1 was best, 6 too much.
        positive_prior: as in ``DebiasedContrastiveLoss``.
        neg_weight: as there.
        lowest_score: as there.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range.
    Relations:
        ``DebiasedContrastiveLoss`` when ``hardness == 0``.
    Source:
        Robinson et al. 2021, arXiv 2010.04592; joshr17/HCL @7b4647f (temperature .5, prior .1).
    Differs:
        from the code: negatives come from the sampler, not from the rest of the batch; the hardness is not annealed.
        The paper's law, e^(beta f) on a sphere of radius 1/temperature, is the code's weight up to the scale of beta:
        beta multiplies the score over the temperature, as in the code.
    Example:
        >>> import torch
        >>> loss = HardContrastiveLoss(0.5, positive_prior=0.1, neg_weight=2.0)
        >>> print(f"{loss(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])).item():.6f}")
        0.375905
    """

    breaks = frozenset({"monotone"})
    ranges = searched(
        temperature=Range(0.03, 1.0, log=True), hardness=Range(0.0, 2.0), positive_prior=Range(1e-3, 0.3, log=True)
    )

    def __init__(
        self,
        temperature: float = 0.5,
        *,
        hardness: float = 1.0,
        positive_prior: float = 0.1,
        neg_weight: float = 100.0,
        lowest_score: float = -1.0,
    ):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.hardness = checks.not_negative("hardness", hardness)
        self.positive_prior = checks.fraction("positive_prior", positive_prior)
        self.neg_weight = checks.positive("neg_weight", neg_weight)
        self.lowest_score = checks.finite("lowest_score", lowest_score)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        neg, sharpness = at_least_float32(neg_scores), 1 / self.temperature  # (B, N)
        weighed = log_mean_exp(neg, mask, sharpness=(1 + self.hardness) * sharpness, empty=-math.inf)  # (B,)
        mean = weighed - log_mean_exp(neg, mask, sharpness=self.hardness * sharpness, empty=0.0)  # (B,)
        return debiased_softmax(
            mean,
            at_least_float32(pos_scores),
            temperature=self.temperature,
            positive_prior=self.positive_prior,
            neg_weight=self.neg_weight,
            lowest_score=self.lowest_score,
        )

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return (
            f"{self.temperature:g}, hardness={self.hardness:g}, positive_prior={self.positive_prior:g}, "
            f"neg_weight={self.neg_weight:g}, lowest_score={self.lowest_score:g}"
        )
