"""The pairwise softmax loss: the exponential of a softmax loss replaced by a function closer to a step."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.base import Loss, at_least_float32
from multimargin.losses.reductions import log_mean_exp
from multimargin.ranges import Choice, Range, searched

ACTIVATIONS = ("tanh", "atan", "relu")
_LEAST = 1e-6  # of an activation, whose logarithm is taken: below it a pair has no gradient


class PairwiseSoftmaxLoss(Loss):
    r"""Rewards each positive for scoring above its negatives, by a soft maximum of a function closer to counting errors
    than the exponential is.  Also known as: PSL; PSL-tanh, PSL-atan, PSL-relu.

    .. math::
        L = \frac1B \sum_b \log \frac1N \sum_n \sigma(d_{bn})^{1/\tau} \qquad
        d_{bn} = \frac{s_{bn} - s_b}{c} \qquad
        \sigma(d) \in \{ \tanh(d) + 1,\ \arctan(d) + 1,\ [d + 1]_+ \}

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`\tau` ``temperature``, :math:`c` ``scale``. For
    cosines and c = 2, d lies in [-1, 1], where each activation is between the step and e^d. Mean over negatives inside
    the logarithm, mean over the batch.

    Use:
        softmax: noise and hard negatives that an exponential would overrate.
    Args:
        activation: "tanh", "atan" or "relu" (the best on most of the paper's data).
        temperature: the inverse of the power, above 0; 0.05 on Gowalla. It acts as twice itself does in
            ``DecoupledSoftmaxLoss``, since scores are halved.
        scale: what differences of scores are divided by, above 0; 2 for cosines.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an unknown activation, a temperature or scale that is not above 0.
    Relations:
        with the activation e^d it would be ``DecoupledSoftmaxLoss(scale * temperature)``.
    Source:
        Yang et al. 2024, arXiv 2411.00163; Tiny-Snow/IR-Benchmark @1dd8de9, ``optim_PSL.py``,
        method 1.
    Differs:
        by the constant log N (mean for sum). Activations below 1e-6 count as that: the code's logarithm of relu is
        minus infinity at d <= -1, and of atan not a number below -1.56; neither is reached by cosines without dropout.
    Example:
        >>> import torch
        >>> print(f"{PairwiseSoftmaxLoss('relu', 0.5)(torch.tensor([0.8]), torch.tensor([[0.2, -0.2]])).item():.6f}")
        -0.994252
    """

    ranges = searched(activation=Choice(ACTIVATIONS), temperature=Range(0.01, 0.5, log=True))

    def __init__(self, activation: str = "relu", temperature: float = 0.05, *, scale: float = 2.0):
        super().__init__()
        self.activation = checks.choice("activation", activation, ACTIVATIONS)
        self.temperature = checks.positive("temperature", temperature)
        self.scale = checks.positive("scale", scale)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        behind = (at_least_float32(neg_scores) - at_least_float32(pos_scores)[:, None]) / self.scale  # (B, N)
        return log_mean_exp(self._log(behind), mask, sharpness=1 / self.temperature, empty=0.0).mean()

    def _log(self, behind: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        """Return the logarithm of the activation."""
        if self.activation == "tanh":  # tanh(d) + 1 = 2 / (1 + e^(-2 d)), whose logarithm never overflows
            return math.log(2) - softplus(-2 * behind)
        value = behind if self.activation == "relu" else torch.atan(behind)
        return (value + 1).clamp(min=_LEAST).log()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.activation!r}, {self.temperature:g}, scale={self.scale:g}"
