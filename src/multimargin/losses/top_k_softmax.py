"""SL@K: a softmax loss weighed by whether a positive is among its user's k best."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, handed
from multimargin.losses.facts import Statistics
from multimargin.losses.reductions import log_mean_exp
from multimargin.losses.thresholds import TopThreshold
from multimargin.ranges import Range, searched


class TopKSoftmaxLoss(Loss):
    r"""Softmax loss that counts a positive the more the further it is above its user's threshold of the k best.
    Also known as: SL@K, SL at K.

    .. math::
        L = \frac1B \sum_b \sigma\Big(\frac{s_b - \beta_u}{\tau_w}\Big)
        \log\Big( \frac{w_-}{N} \sum_n e^{(s_{bn} - s_b)/\tau} \Big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`\tau` ``temperature``, :math:`\tau_w`
    ``weight_temperature``, :math:`w_-` ``neg_weight``, :math:`\beta_u` the threshold. Mean over negatives inside the
    logarithm, mean over the batch. The weight has a gradient, so that a positive whose softmax loss is large is pushed
    away from the k best; it makes ``neg_weight`` matter.

    Use:
        top of the list: NDCG at a known cut-off, cosines, many negatives.
    Args:
        temperature: of the softmax, above 0; published: 0.1 (Gowalla), 0.05 (Book).
        weight_temperature: of the weight, above 0; published: 1.0 (Gowalla), 0.5 (Book).
        k: cut-off of the metric that is meant, 1 or more.
        refresh_every: epochs between estimates of the thresholds, 1 or more; published: 20 (MF), 5 (LightGCN).
        pool_size: items drawn for an estimate, ``k`` or more.
        neg_weight: for how many negatives their mean stands, above 0; N gives the published sum.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range, it was not prepared, or no users are handed over.
    Relations:
        ``DecoupledSoftmaxLoss`` with a weight for each row, plus the constant log(neg_weight) under that weight.
    Source:
        Yang et al. 2025, arXiv 2508.05673; Tiny-Snow/IR-Benchmark @1dd8de9, ``optim_SLatK.py`` (weights as there: a
        sigmoid, not normalised).
    Differs:
        from the code: thresholds are estimated for all users when an epoch begins, with one pool for all, where it does
        so batch by batch during every T-th epoch with the batch's negatives; the pool may hold positives.
    Example:
        >>> from multimargin.losses.facts import Statistics
        >>> loss = TopKSoftmaxLoss(0.5, neg_weight=2.0)
        >>> loss.prepare(Statistics(2, 9, np.array([0, 1]), np.array([3, 4])), rng=np.random.default_rng(0))
        >>> value = loss(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]]), users=torch.tensor([1]))
        >>> print(f"{value.item():.6f}")
        -0.473832
    """

    needs = frozenset({"users", "tables"})
    breaks = frozenset({"monotone"})
    ranges = searched(temperature=Range(0.03, 1.0, log=True), weight_temperature=Range(0.1, 3.0, log=True))

    def __init__(
        self,
        temperature: float = 0.1,
        *,
        weight_temperature: float = 1.0,
        k: int = 20,
        refresh_every: int = 20,
        pool_size: int = 1000,
        neg_weight: float = 1000.0,
    ):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.weight_temperature = checks.positive("weight_temperature", weight_temperature)
        self.neg_weight = checks.positive("neg_weight", neg_weight)
        self.threshold = TopThreshold(k, refresh_every, pool_size)

    def prepare(self, statistics: Statistics, *, rng: np.random.Generator) -> None:
        """Take each user's items."""
        self.threshold.prepare(statistics, rng=rng)

    def start_epoch(
        self,
        epoch: int,
        *,
        user_vectors: Float[Tensor, "U D"] | None = None,
        item_vectors: Float[Tensor, "I D"] | None = None,
    ) -> None:
        """Estimate the thresholds anew if it is time."""
        self.threshold.refresh(epoch, handed("user_vectors", user_vectors), handed("item_vectors", item_vectors))

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
        if not self.threshold.ready:
            self.unprepared()
        pos = at_least_float32(pos_scores)  # (B,)
        behind, size = at_least_float32(neg_scores) - pos[:, None], math.log(self.neg_weight)  # (B, N)
        softmax = size + log_mean_exp(behind, mask, sharpness=1 / self.temperature, empty=-size)  # (B,)
        above = pos - self.threshold.values[handed("users", users)].to(pos.dtype)  # (B,)
        return (torch.sigmoid(above / self.weight_temperature) * softmax).mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        t = self.threshold
        return (
            f"{self.temperature:g}, weight_temperature={self.weight_temperature:g}, k={t.k}, "
            f"refresh_every={t.refresh_every}, pool_size={t.pool_size}, neg_weight={self.neg_weight:g}"
        )
