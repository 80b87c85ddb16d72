"""Bayesian Personalised Ranking: each positive against each of its negatives."""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

from multimargin.losses.base import Loss, at_least_float32, mean_over_negatives


class BPRLoss(Loss):
    r"""Rewards each positive for scoring above each of its negatives.  Also known as: pairwise logistic loss.

    .. math::
        L = \frac1B \sum_b \frac1N \sum_{n=1}^{N} \log\big(1 + e^{s_{bn} - s_b}\big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``. Mean over negatives, mean over the batch. Meant for
    unbounded scores (``similarity="dot"``): on cosines the differences stay within 2 and the loss never gets small.

    Args:
        none: L2 is the optimiser's ``weight_decay``.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Relations:
        with N = 1, the original; with more, every pair counts separately (RecBox's PairwiseLogisticLoss).
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
