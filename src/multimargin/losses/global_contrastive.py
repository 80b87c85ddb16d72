"""SogCLR: a softmax loss whose denominator is remembered for each user from step to step."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, handed
from multimargin.losses.facts import Statistics
from multimargin.losses.reductions import log_mean_exp, log_mean_exp_by_group
from multimargin.ranges import Range, searched


class GlobalContrastiveLoss(Loss):
    r"""Softmax loss that makes up for few negatives by a moving average of each user's denominator.  Also known as:
    SogCLR.

    .. math::
        L = \frac1B \sum_b \Big( -\frac{s_b}{\tau} + \frac{\hat g_b}{g_b} \Big) \qquad
        \hat g_b = \frac1N \sum_n e^{s_{bn}/\tau} \qquad g_b = (1 - \gamma)\, g_u + \gamma\, \hat g_b

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`\tau` ``temperature``, :math:`\gamma` ``rate``.
    :math:`g_b` counts as a constant, so that the gradient is that of the softmax loss with :math:`g_b` in place of
    :math:`\hat g_b`; the value is no measure of progress. Afterwards :math:`g_u` is the mean of its user's
    :math:`g_b`; the first of a user are their own. Kept as logarithms. Mean over negatives, mean over the batch.

    Use:
        softmax: few negatives or small batches, and the same users again and again.
    Args:
        temperature: what scores are divided by, above 0.
        rate: weight of the new estimate, in (0, 1]; 1 remembers nothing.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range, it was not prepared, or no users are handed over.
    Relations:
        the gradient of ``DecoupledSoftmaxLoss`` when ``rate == 1``.
    Source:
        Yuan et al. 2022, arXiv 2202.12387; Tiny-Snow/IR-Benchmark @1dd8de9, ``optim_SogCLR.py``.
    Differs:
        from the code, where of several rows of a user in a batch any one is remembered: their mean is.
    Example:
        >>> from multimargin.losses.facts import Statistics
        >>> loss = GlobalContrastiveLoss(0.5, rate=0.5)
        >>> loss.prepare(Statistics(2, 9, np.array([0, 1]), np.array([3, 4])), rng=np.random.default_rng(0))
        >>> scores = torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])
        >>> print(f"{loss(*scores, users=torch.tensor([1])).item():.6f}")
        -0.600000
    """

    needs = frozenset({"users"})
    breaks = frozenset({"gradient"})
    ranges = searched(temperature=Range(0.03, 1.0, log=True), rate=Range(0.3, 1.0))

    def __init__(self, temperature: float = 0.1, *, rate: float = 0.9):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.denominators = RememberedDenominators(rate)

    def prepare(self, statistics: Statistics, *, rng: np.random.Generator) -> None:  # noqa: ARG002 - nothing is drawn
        """Make room for a denominator of each user."""
        self.denominators.prepare(statistics.n_users)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
        users: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        if not self.denominators.ready:
            self.unprepared()
        users, sharpness = handed("users", users), 1 / self.temperature
        push: Tensor = self.denominators(at_least_float32(neg_scores), users, mask, sharpness=sharpness)  # (B,)
        return (push - at_least_float32(pos_scores) / self.temperature).mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.temperature:g}, rate={self.denominators.rate:g}"


class RememberedDenominators(nn.Module):
    """The moving averages of SogCLR: from scores to the ratio of estimate and average, which counts as a constant."""

    logarithms: Tensor

    def __init__(self, rate: float):
        super().__init__()
        self.rate = checks.share("rate", checks.positive("rate", rate))
        self.ready = False

    def prepare(self, n_users: int) -> None:
        """Forget everything; NaN stands for nothing yet."""
        self.register_buffer("logarithms", torch.full((n_users,), torch.nan))
        self.ready = True

    def forward(
        self,
        scores: Float[Tensor, "B N"],
        users: Int[Tensor, " B"],
        mask: Bool[Tensor, "B N"] | None,
        *,
        sharpness: float,
    ) -> Float[Tensor, " B"]:
        """Return (B,) estimate over average; 0 for a row without negatives, which is not remembered."""
        estimate = log_mean_exp(scores, mask, sharpness=sharpness, empty=-math.inf)  # (B,)
        with torch.no_grad():
            known = self.logarithms[users].to(scores.dtype)  # (B,)
            known = torch.where(known.isnan(), estimate, known)
            average = estimate  # where the rate is 1
            if self.rate < 1:
                average = torch.logaddexp(known + math.log1p(-self.rate), estimate + math.log(self.rate))  # (B,)
            some = estimate > -torch.inf  # rows without negatives go where nobody looks
            average = torch.where(some, average, 0.0)
            place = torch.where(some, users, len(self.logarithms))
            mean = log_mean_exp_by_group(average, place).to(self.logarithms.dtype)
            padded = torch.cat((self.logarithms, self.logarithms.new_zeros(1)))
            self.logarithms.copy_(padded.scatter(0, place, mean)[:-1])
        return (estimate - average).exp()
