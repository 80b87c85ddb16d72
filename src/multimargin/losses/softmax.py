"""Softmax losses over drawn negatives, with the positive inside the denominator and outside of it."""

import math

from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.base import Loss, at_least_float32
from multimargin.losses.facts import SoftMaximum
from multimargin.losses.reductions import log_mean_exp
from multimargin.ranges import Range, searched


class SampledSoftmaxLoss(Loss):
    r"""Rewards each positive for its share in a softmax over itself and its negatives.  Also known as: SSM, InfoNCE,
    NT-Xent, sampled softmax cross-entropy.

    .. math::
        L = -\frac1B \sum_b \log \frac{e^{s_b/\tau}}{e^{s_b/\tau} + w_- \sum_n v_{bn} e^{s_{bn}/\tau}}
        \qquad v_{bn} = \frac1N \;\text{ or }\; \frac{1/q_{bn}}{\sum_m 1/q_{bm}}

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`\tau` ``temperature``, :math:`w_-`
    ``neg_weight``, :math:`q` the law of the draws. The negatives enter by their mean, so that N changes how well the
    sum over the catalogue is estimated and not what is minimised; mean over the batch.

    Use:
        softmax: in-batch or popular negatives whose law shall be corrected; any scores.
    Args:
        temperature: what scores are divided by, above 0; for cosines about 0.1, for dot products 1.
        neg_weight: for how many negatives their mean stands, above 0: N gives the published sum over the N drawn, the
            number of items an estimate of the softmax over the catalogue.
        correct_log_q: where a sampler says with which probability it drew (popularity, in-batch), weigh each negative
            by the inverse, so that the loss estimates what uniform draws do; False takes draws as they come, which
            pushes items down the more often the sampler draws them.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: the temperature or weight is not above 0.
    Relations:
        equals ``KPairBPRLoss(neg_weight=...)`` when ``temperature == 1``; less log(neg_weight) it tends to
        ``DecoupledSoftmaxLoss`` as ``neg_weight`` grows; equals ``DebiasedContrastiveLoss`` with ``positive_prior=0``.
    Source:
        Wu et al. 2024, arXiv 2201.02327; wujcan/SSM-TensorFlow @661767c. The correction: Bengio and Senecal
        2008, "Adaptive importance sampling to accelerate training of a neural probabilistic language model".
    Differs:
        from the code: mean over the batch for its sum, no L2 inside, nothing added inside the logarithm. From the
        correction as usually written, logits less log q: weights are normalised over the draws, so that neither N nor
        a constant in log q matters, and the positive, which is not drawn, is left as it is.
    Example:
        >>> import torch
        >>> print(f"{SampledSoftmaxLoss(0.5, neg_weight=2.0)(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])):.6f}")
        0.407606
    """

    needs = frozenset({"log_q"})
    ranges = searched(temperature=Range(0.03, 1.0, log=True))

    def __init__(self, temperature: float = 0.1, *, neg_weight: float = 100.0, correct_log_q: bool = True):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.neg_weight = checks.positive("neg_weight", neg_weight)
        self.correct_log_q = correct_log_q

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``."""
        neg, law = at_least_float32(neg_scores), log_q if self.correct_log_q else None
        push = log_mean_exp(neg, mask, sharpness=1 / self.temperature, log_q=law, empty=-math.inf)  # (B,)
        return softplus(push - at_least_float32(pos_scores) / self.temperature + math.log(self.neg_weight)).mean()

    def rows(self) -> SoftMaximum:
        """Return the constants for the compiled engines."""
        return SoftMaximum(self.temperature, self.neg_weight)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.temperature:g}, neg_weight={self.neg_weight:g}, correct_log_q={self.correct_log_q}"


class DecoupledSoftmaxLoss(Loss):
    r"""Rewards each positive for exceeding the soft maximum of its negatives, however far it is ahead.  Also known as:
    SL, softmax loss without the positive in the denominator, decoupled contrastive loss.

    .. math::
        L = \frac1B \sum_b \Big( -\frac{s_b}{\tau} + \log \sum_n v_{bn} e^{s_{bn}/\tau} \Big)

    Letters as in ``SampledSoftmaxLoss``. The gradient does not fade when a positive is ahead of every negative, so it
    belongs to scores that are bounded, as cosines are. Mean over negatives inside the logarithm, mean over the batch; a
    row without negatives keeps its first term.

    Use:
        softmax: cosines and uniform negatives; one temperature to tune.
    Args:
        temperature: what scores are divided by, above 0; published for cosines: 0.11 (Yelp2018), 0.1 (Gowalla).
        correct_log_q: as in ``SampledSoftmaxLoss``.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: the temperature is not above 0.
    Relations:
        "single" of the BSL repository; ``ReweightedSoftmaxLoss`` when ``neg_weight == 1``, ``BilateralRowLoss`` when
        both of its temperatures are equal.
    Source:
        Wu et al. 2024, arXiv 2312.12882 ("SL"); junkangwu/BSL @89e0267; Tiny-Snow/IR-Benchmark @1dd8de9.
    Differs:
        from the code by the constant log N: the mean of the exponentials for their sum. No gradient differs.
    Example:
        >>> import torch
        >>> print(f"{DecoupledSoftmaxLoss(0.5)(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])).item():.6f}")
        -1.379886
    """

    needs = frozenset({"log_q"})
    ranges = searched(temperature=Range(0.03, 1.0, log=True))

    def __init__(self, temperature: float = 0.1, *, correct_log_q: bool = True):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.correct_log_q = correct_log_q

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``."""
        sharpness, log_q = 1 / self.temperature, log_q if self.correct_log_q else None
        push = log_mean_exp(at_least_float32(neg_scores), mask, sharpness=sharpness, log_q=log_q, empty=0.0)  # (B,)
        return (push - sharpness * at_least_float32(pos_scores)).mean()

    def rows(self) -> SoftMaximum:
        """Return the constants for the compiled engines."""
        return SoftMaximum(self.temperature, 1.0, 1 / self.temperature)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.temperature:g}, correct_log_q={self.correct_log_q}"
