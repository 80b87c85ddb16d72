"""Bayesian Personalised Ranking: each positive against each of its negatives, and against all of them at once."""

import math

from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.base import Loss, at_least_float32, mean_over_negatives
from multimargin.losses.facts import PairwiseLogistic, SoftMaximum
from multimargin.losses.reductions import log_mean_exp
from multimargin.ranges import Range, searched


class BPRLoss(Loss):
    r"""Rewards each positive for scoring above each of its negatives.  Also known as: pairwise logistic loss.

    .. math::
        L = \frac1B \sum_b \frac1N \sum_{n=1}^{N} \log\big(1 + e^{s_{bn} - s_b}\big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``. Mean over negatives, mean over the batch. Meant for
    unbounded scores (``similarity="dot"``): on cosines the differences stay within 2 and the loss never gets small.

    Use:
        pairs: dot products and one negative; the baseline everybody knows.
    Args:
        none: L2 is the optimiser's ``weight_decay``.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Relations:
        with N = 1, the original; with more, every pair counts separately (RecBox's PairwiseLogisticLoss);
        ``KPairBPRLoss`` weighs the pairs of a positive against one another instead.
    Source:
        Rendle et al. 2009, arXiv 1205.2618, section 4.1; the mean of softplus is LightGCN's @b067ec0.
    Differs:
        from LightGCN's code: no L2 on the batch's rows inside the loss.
    Example:
        >>> import torch
        >>> print(f"{BPRLoss()(torch.tensor([2.0]), torch.tensor([[2.0, 0.0]])).item():.6f}")
        0.410038
    """

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
        return mean_over_negatives(softplus(behind), mask).mean()

    def rows(self) -> PairwiseLogistic:
        """Return the constants for the compiled engines."""
        return PairwiseLogistic()


class KPairBPRLoss(Loss):
    r"""Rewards each positive for scoring above all of its negatives at once.  Also known as: softmax BPR, K-pair loss,
    N-pair loss.

    .. math::
        L = \frac1B \sum_b \log\Big(1 + \frac{w_-}{N} \sum_{n=1}^{N} e^{s_{bn} - s_b}\Big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`w_-` ``neg_weight``. The gradient goes to the
    negatives in proportion to :math:`e^{s_{bn}}`: to the hardest above all. Mean over negatives, mean over the batch.
    Meant for unbounded scores (``similarity="dot"``).

    Use:
        pairs: dot products and several negatives, of which the hardest shall count most.
    Args:
        neg_weight: for how many negatives their mean stands, above 0; N gives the published sum over the N drawn.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: the weight is not above 0.
    Relations:
        with N = 1 and ``neg_weight == 1``, ``BPRLoss``; equals ``SampledSoftmaxLoss(1.0, neg_weight=...)`` where draws
        are uniform.
    Source:
        Sohn 2016, "Improved deep metric learning with multi-class N-pair loss objective"; as BPR with K
        negatives in huangtinglin/MixGCF @e659f4a.
    Differs:
        a weighted mean over negatives for the sum: the same for ``neg_weight=N``.
    Example:
        >>> import torch
        >>> print(f"{KPairBPRLoss(neg_weight=2.0)(torch.tensor([2.0]), torch.tensor([[2.0, 0.0]])).item():.6f}")
        0.758624
    """

    ranges = searched(neg_weight=Range(0.1, 100.0, log=True))

    def __init__(self, *, neg_weight: float = 1.0):
        super().__init__()
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
        push = log_mean_exp(at_least_float32(neg_scores), mask, empty=-math.inf)  # (B,)
        return softplus(push - at_least_float32(pos_scores) + math.log(self.neg_weight)).mean()

    def rows(self) -> SoftMaximum:
        """Return the constants for the compiled engines."""
        return SoftMaximum(1.0, self.neg_weight)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"neg_weight={self.neg_weight:g}"
