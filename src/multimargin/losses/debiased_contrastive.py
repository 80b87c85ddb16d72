"""The debiased contrastive loss: softmax that knows of positives among the negatives."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.base import Loss, at_least_float32
from multimargin.losses.reductions import log_mean_exp
from multimargin.ranges import Range, searched


class DebiasedContrastiveLoss(Loss):
    r"""Softmax loss that takes out of the negatives what positives among them are expected to add.  Also known as: DCL
    (debiased, not decoupled).

    .. math::
        L = \frac1B \sum_b \log\Big(1 + w_-\, g_b\, e^{-s_b/\tau}\Big) \qquad
        g_b = \max\Big( \frac{\frac1N \sum_n e^{s_{bn}/\tau} - \tau_+\, e^{s_b/\tau}}{1 - \tau_+},\;
        e^{s_{\min}/\tau} \Big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`\tau` ``temperature``, :math:`\tau_+`
    ``positive_prior``, :math:`w_-` ``neg_weight``, :math:`s_{\min}` ``lowest_score``. Mean over negatives, mean over
    the batch.

    Use:
        doubtful negatives: a known share of positives among the negatives.
    Args:
        temperature: what scores are divided by, above 0.
        positive_prior: probability that a drawn negative is a positive, in [0, 1): about the density of the data, less
            where the sampler leaves out seen items.
        neg_weight: for how many negatives their mean stands, above 0; N gives the published sum over the N drawn.
        lowest_score: the least score there can be, which bounds the corrected mean from below: -1 for cosines; for dot
            products a number below all that occur.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range.
    Relations:
        ``SampledSoftmaxLoss`` when ``positive_prior == 0`` and no score is below ``lowest_score``;
        ``HardContrastiveLoss`` when ``hardness == 0``.
    Source:
        Chuang et al. 2020, arXiv 2007.00224; chingyaoc/DCL @7d6345f (temperature .5, prior .1).
    Differs:
        from the code: negatives come from the sampler, not from the rest of the batch; one positive estimates the
        correction, as there.
    Example:
        >>> import torch
        >>> loss = DebiasedContrastiveLoss(0.5, positive_prior=0.1, neg_weight=2.0)
        >>> print(f"{loss(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])).item():.6f}")
        0.290357
    """

    ranges = searched(temperature=Range(0.03, 1.0, log=True), positive_prior=Range(1e-3, 0.3, log=True))

    def __init__(
        self,
        temperature: float = 0.5,
        *,
        positive_prior: float = 0.1,
        neg_weight: float = 100.0,
        lowest_score: float = -1.0,
    ):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
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
        mean = log_mean_exp(at_least_float32(neg_scores), mask, sharpness=1 / self.temperature, empty=-math.inf)  # (B,)
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
            f"{self.temperature:g}, positive_prior={self.positive_prior:g}, "
            f"neg_weight={self.neg_weight:g}, lowest_score={self.lowest_score:g}"
        )


def debiased_softmax(
    mean: Float[Tensor, " B"],
    pos_scores: Float[Tensor, " B"],
    *,
    temperature: float,
    positive_prior: float,
    neg_weight: float,
    lowest_score: float,
) -> Float[Tensor, ""]:
    """Return the loss from log(mean of the negatives' exponentials), all in logarithms: e^(1e4 / 0.5) is no number."""
    ratio = mean - pos_scores / temperature  # (B,) of negatives to positive
    floor = (lowest_score - pos_scores) / temperature  # (B,)
    if positive_prior > 0:
        prior = math.log(positive_prior)
        above = ratio > prior  # else nothing is left, and the floor holds
        left = (-torch.where(above, prior - ratio, -1.0).expm1()).log()  # log(1 - prior / ratio)
        ratio = torch.where(above, ratio + left - math.log1p(-positive_prior), -torch.inf)
    return softplus(torch.maximum(ratio, floor) + math.log(neg_weight)).mean()
