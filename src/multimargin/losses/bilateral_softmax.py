"""Bilateral softmax losses whose rows stand alone: the three published forms are three functions of two numbers."""

from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32
from multimargin.losses.facts import SoftMaximum
from multimargin.losses.reductions import log_mean_exp
from multimargin.ranges import Range, searched


class BilateralRowLoss(Loss):
    r"""Softmax loss with a temperature for the positive and another for the negatives.  Also known as: BSL as
    IR-Benchmark has it; the paper's BSL where each user has one positive in the batch.

    .. math::
        L = \frac1B \sum_b \Big( -\frac{s_b}{\tau_1} + \frac{\tau_2}{\tau_1} \log \frac1N \sum_n e^{s_{bn}/\tau_2} \Big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`\tau_1` ``pos_temperature``, :math:`\tau_2`
    ``neg_temperature``. The first only scales the whole: with one positive a row there is no spread for it to measure.
    Mean over negatives inside the logarithm, mean over the batch; a row without negatives keeps its first term.

    Use:
        softmax: false negatives, and one positive of a user in a batch.
    Args:
        pos_temperature: of the positive, above 0.
        neg_temperature: of the negatives, above 0.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: a temperature is not above 0.
    Relations:
        ``DecoupledSoftmaxLoss`` when both are equal.
    Source:
        Wu et al. 2024, arXiv 2312.12882, divided by its first temperature; Tiny-Snow/IR-Benchmark
        @1dd8de9.
    Differs:
        by the constant (neg_temperature / pos_temperature) log N: mean for sum.
    Example:
        >>> import torch
        >>> print(f"{BilateralRowLoss(0.5, 0.25)(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])).item():.6f}")
        -1.283110
    """

    ranges = searched(pos_temperature=Range(0.03, 1.0, log=True), neg_temperature=Range(0.03, 1.0, log=True))

    def __init__(self, pos_temperature: float = 0.1, neg_temperature: float = 0.1):
        super().__init__()
        self.pos_temperature = checks.positive("pos_temperature", pos_temperature)
        self.neg_temperature = checks.positive("neg_temperature", neg_temperature)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        push = log_mean_exp(at_least_float32(neg_scores), mask, sharpness=1 / self.neg_temperature, empty=0.0)  # (B,)
        return ((self.neg_temperature * push - at_least_float32(pos_scores)) / self.pos_temperature).mean()

    def rows(self) -> SoftMaximum:
        """Return the constants for the compiled engines."""
        return SoftMaximum(self.neg_temperature, self.neg_temperature / self.pos_temperature, 1 / self.pos_temperature)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.pos_temperature:g}, {self.neg_temperature:g}"


class ReweightedSoftmaxLoss(Loss):
    r"""Softmax loss whose push is weighed against its pull.  Also known as: BSL, mode "reweight" of its repository.

    .. math::
        L = \frac1B \sum_b \Big( -\frac{s_b}{\tau} + w_- \log \frac1N \sum_n e^{s_{bn}/\tau} \Big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`\tau` ``temperature``, :math:`w_-`
    ``neg_weight``. Mean over negatives inside the logarithm, mean over the batch; a row without negatives keeps its
    first term.

    Use:
        softmax: as the decoupled one, with a second number for how hard negatives push.
    Args:
        temperature: what scores are divided by, above 0; published 0.14 (Amazon-Book), 0.15 (LightGCN, Yelp2018).
        neg_weight: of the push, above 0; published 1.32 and 1.12.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: the temperature or weight is not above 0.
    Relations:
        ``DecoupledSoftmaxLoss`` when ``neg_weight == 1``. Not ``BilateralRowLoss``: there the negatives' temperature is
        inside of the exponential too.
    Source:
        junkangwu/BSL @89e0267, ``utils/losses.py``, mode "reweight" (its second temperature is our ``neg_weight``).
    Differs:
        from the code by the constant neg_weight log N: mean for sum.
    Example:
        >>> import torch
        >>> loss = ReweightedSoftmaxLoss(0.5, neg_weight=2.0)
        >>> print(f"{loss(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])).item():.6f}")
        -1.159771
    """

    ranges = searched(temperature=Range(0.03, 1.0, log=True), neg_weight=Range(0.5, 2.0))

    def __init__(self, temperature: float = 0.1, *, neg_weight: float = 1.1):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.neg_weight = checks.positive("neg_weight", neg_weight)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        push = log_mean_exp(at_least_float32(neg_scores), mask, sharpness=1 / self.temperature, empty=0.0)  # (B,)
        return (self.neg_weight * push - at_least_float32(pos_scores) / self.temperature).mean()

    def rows(self) -> SoftMaximum:
        """Return the constants for the compiled engines."""
        return SoftMaximum(self.temperature, self.neg_weight, 1 / self.temperature)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.temperature:g}, neg_weight={self.neg_weight:g}"
