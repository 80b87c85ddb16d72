"""Variational BPR: the believed positive of a row against its believed negative."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.posterior_loss import PosteriorLoss


class VariationalBPRPlugInLoss(PosteriorLoss):
    r"""Rewards the mean of positives for scoring above the mean of negatives, both over what is believed.
    Also known as: Variational BPR, its plug-in form.

    .. math::
        L = \frac1B \sum_b \log\big(1 + e^{\sum_n b_{bn} s_{bn} - \sum_m a_{bm} s_{bm}}\big)

    :math:`s_{bm}` are the row's positive and its further ones, :math:`s_{bn}` ``neg_scores``; :math:`a_{bm} \propto
    \pi^+_m e^{s_{bm}/c_+}` and :math:`b_{bn} \propto \pi^-_n e^{-s_{bn}/c_-}` are posteriors, with priors from
    rarity, popularity and hardness (``posteriors.py``). They count as constants. The likelihood believes high positives
    and low negatives, the priors' hardness the opposite. Mean over the batch.
    Meant for unbounded scores (``similarity="dot"``).

    Use:
        pairs: as Variational BPR, with more negatives or less time.
    Args:
        pos_scale: c+, above 0: the smaller, the more the posterior follows the positives' scores.
        neg_scale: c-, above 0, likewise for the negatives, the lowest first.
        n_positives: M, positives of each row, 1 or more; all but its own are drawn from its user's.
        pos_rarity: exponent of how rare a positive is, 0 or more.
        pos_hardness: exponent of how low a positive scores, 0 or more.
        neg_popularity: exponent of how popular a negative is, 0 or more.
        neg_hardness: exponent of how high a negative scores, 0 or more.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range, it was not prepared, or what it needs is not handed over.
    Relations:
        by convexity never above ``VariationalBPRLoss``, for far less work.
    Source:
        Liu et al., arXiv 2503.11067 v2 (IEEE TPAMI 2026); liubin06/VariationalBPR @cc3492b; defaults: its Gowalla and
        Yelp2018, N 16.
    Differs:
        from the code: no prior of quality, which needs ratings; priors are bounded from below factor by factor. Not the
        v1 of the paper, which is ``AttentiveBPRLoss``; not Visual BPR.
    Example:
        >>> import numpy as np
        >>> from multimargin.losses.facts import Statistics
        >>> loss = VariationalBPRPlugInLoss(1.0, 1.0, n_positives=1, pos_rarity=0.0, pos_hardness=0.0, neg_hardness=0.0)
        >>> loss.prepare(Statistics(1, 3, np.array([0]), np.array([0])), rng=np.random.default_rng(0))
        >>> print(f"{loss(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])).item():.6f}")
        0.367633
    """

    def of_rows(
        self,
        pos: Float[Tensor, "B M"],
        neg: Float[Tensor, "B N"],
        a: Float[Tensor, "B M"],
        b: Float[Tensor, "B N"],
        mask: Bool[Tensor, "B N"] | None,
    ) -> Float[Tensor, " B"]:
        """Return the loss of the difference of the weighed means."""
        low = neg if mask is None else torch.where(mask, neg, 0.0)  # (B, N)
        rows = softplus((b * low).sum(-1) - (a * pos).sum(-1))  # (B,)
        return rows if mask is None else torch.where(mask.any(-1), rows, 0.0)
