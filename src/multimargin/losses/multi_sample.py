"""The multi-sample contrastive loss: several positives of a user at once, pull and push weighed."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.base import Loss, at_least_float32, handed
from multimargin.losses.reductions import log_mean_exp
from multimargin.ranges import Range, searched


class MultiSampleContrastiveLoss(Loss):
    r"""Softmax loss of several positives of each user, its pull weighed against its push.  Also known as: MSCL.

    .. math::
        L = \frac1B \sum_b \frac1P \sum_{p=1}^{P} \Big( -\alpha \frac{s_{bp}}{\tau}
        + (1 - \alpha) \log\big(e^{s_{bp}/\tau} + w_-\, \tfrac1N \sum_n e^{s_{bn}/\tau} \big) \Big)

    :math:`s_{bp}` are the row's positive and its further ones, :math:`s_{bn}` ``neg_scores``, :math:`\tau`
    ``temperature``, :math:`\alpha` ``pull``, :math:`w_-` ``neg_weight``, P ``n_positives``. Mean over negatives inside
    the logarithm, over positives and over the batch. With a ``pull`` below one half a positive that is far ahead is
    pushed back.

    Use:
        softmax: users with many positives, of which several shall be seen at once.
    Args:
        temperature: what scores are divided by, above 0; published: 0.2 (Yelp2018), 0.1 (Amazon-Book).
        pull: share of the pull, in (0, 1); one half makes it half of InfoNCE; published: 0.45 (both).
        n_positives: P, positives of each row, 1 or more; all but its own are drawn with replacement from its user's.
        neg_weight: for how many negatives their mean stands, above 0; N gives the published sum.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range, or the further positives are not handed over.
    Relations:
        half of ``SampledSoftmaxLoss`` when ``pull == 0.5`` and ``n_positives == 1``.
    Source:
        Tang et al. 2021, arXiv 2108.13873; haotangxjtu/MSCL @c5ba593, ``code/model.py``.
    Differs:
        from the code: mean over positives for its sum; interactions are visited once an epoch and stand with further
        positives of their user, where it draws users and all positives; one set of negatives for all positives of a
        row, from the sampler (with an in-batch sampler, the other rows' first positives); no 1e-5 inside the
        logarithms.
    Example:
        >>> import torch
        >>> loss = MultiSampleContrastiveLoss(0.5, n_positives=2, neg_weight=2.0)
        >>> pos, neg, more = torch.tensor([0.8]), torch.tensor([[0.3, -0.2]]), torch.tensor([[0.4]])
        >>> print(f"{loss(pos, neg, extra_positive_scores=more).item():.6f}")
        0.438721
    """

    breaks = frozenset({"monotone"})
    ranges = searched(temperature=Range(0.03, 1.0, log=True), pull=Range(0.2, 0.8))

    def __init__(
        self, temperature: float = 0.2, *, pull: float = 0.45, n_positives: int = 15, neg_weight: float = 100.0
    ):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.pull = checks.fraction("pull", checks.positive("pull", pull))
        self.extra_positives = checks.positive_int("n_positives", n_positives) - 1
        self.neg_weight = checks.positive("neg_weight", neg_weight)

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
        pos = at_least_float32(pos_scores)[:, None] / self.temperature  # (B, 1)
        if self.extra_positives:
            more = handed("extra_positive_scores", extra_positive_scores)
            pos = torch.cat((pos, at_least_float32(more) / self.temperature), dim=1)  # (B, P)
        push = log_mean_exp(at_least_float32(neg_scores), mask, sharpness=1 / self.temperature, empty=-math.inf)  # (B,)
        ahead = push[:, None] + math.log(self.neg_weight) - pos  # (B, P)
        # log(e^p + w e^m) = p + log(1 + w e^(m - p))
        return ((1 - 2 * self.pull) * pos + (1 - self.pull) * softplus(ahead)).mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return (
            f"{self.temperature:g}, pull={self.pull:g}, n_positives={self.extra_positives + 1}, "
            f"neg_weight={self.neg_weight:g}"
        )
