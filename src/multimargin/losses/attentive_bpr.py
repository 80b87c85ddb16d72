"""Variational BPR as it first was: attention over a row's positives and negatives, with gradients."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.base import Loss, at_least_float32, handed
from multimargin.ranges import Range, searched


class AttentiveBPRLoss(Loss):
    r"""Rewards an attentive mean of positives for scoring above an attentive mean of negatives, the hardest first.
    Also known as: Variational BPR, v1.

    .. math::
        L = \frac1B \sum_b \log\big(1 + e^{\sum_n b_{bn} s_{bn} - \sum_m a_{bm} s_{bm}}\big) \qquad
        a_{bm} \propto e^{s_{bm}/c_+} \qquad b_{bn} \propto e^{s_{bn}/c_-}

    :math:`s_{bm}` are the row's positive and its further ones, :math:`s_{bn}` ``neg_scores``; :math:`c_+`
    ``pos_scale``, :math:`c_-` ``neg_scale``. Attention has gradients, so that raising a low negative, which takes
    weight from the hard ones, can lower the loss. Mean over the batch. Meant for unbounded scores
    (``similarity="dot"``).

    Use:
        pairs: dot products, several positives of a user, and hard negatives wanted.
    Args:
        pos_scale: c+, above 0: large, so that positives count nearly alike.
        neg_scale: c-, above 0: small, so that the hardest negatives count.
        n_positives: M, positives of each row, 1 or more; all but its own are drawn from its user's.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range, or further positives are not handed over.
    Relations:
        ``BPRLoss`` with one positive and one negative; ``VariationalBPRPlugInLoss`` has the opposite weights.
    Source:
        Liu et al. 2025, arXiv 2503.11067 v1; liubin06/VariationalBPR @cc3492b and before (c+ 10, c- 0.5, M 2, N 4).
    Differs:
        the released code has "-0.5" for c-: as attention it is softmax(s / 0.5) over negatives, taken here by its size.
    Example:
        >>> loss = AttentiveBPRLoss(n_positives=1)
        >>> print(f"{loss(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])).item():.6f}")
        0.425409
    """

    breaks = frozenset({"monotone"})
    ranges = searched(pos_scale=Range(0.1, 50.0, log=True), neg_scale=Range(0.1, 50.0, log=True))

    def __init__(self, pos_scale: float = 10.0, neg_scale: float = 0.5, *, n_positives: int = 2):
        super().__init__()
        self.pos_scale = checks.positive("pos_scale", pos_scale)
        self.neg_scale = checks.positive("neg_scale", neg_scale)
        self.extra_positives = checks.positive_int("n_positives", n_positives) - 1

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
        extra_positive_scores: Float[Tensor, "B K"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        pos, neg = at_least_float32(pos_scores)[:, None], at_least_float32(neg_scores)  # (B, 1), (B, N)
        if self.extra_positives:
            more = at_least_float32(handed("extra_positive_scores", extra_positive_scores))
            pos = torch.cat((pos, more), dim=1)  # (B, M)
        high = ((pos / self.pos_scale).softmax(-1) * pos).sum(-1)  # (B,)
        if mask is None:
            return softplus(((neg / self.neg_scale).softmax(-1) * neg).sum(-1) - high).mean()
        some = mask.any(-1)  # (B,)
        logits = torch.where(mask, neg / self.neg_scale, torch.where(some, -torch.inf, 0.0)[:, None])
        low = (logits.softmax(-1) * torch.where(mask, neg, 0.0)).sum(-1)  # (B,)
        return torch.where(some, softplus(low - high), 0.0).mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.pos_scale:g}, {self.neg_scale:g}, n_positives={self.extra_positives + 1}"
