"""The Multi-Margin Loss with margins for the positive too."""

from collections.abc import Iterable

from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, mean_over_negatives
from multimargin.losses.margins import margin_tensors, margins_shown, multi_margin_hinge
from multimargin.ranges import Increasing, Range, Shares, searched


class MultiMarginPositivesLoss(Loss):
    r"""Multi-Margin Loss whose positive has margins too: pulled the harder the more of them lie above it.
    Also known as: MML with multi-margin positives.

    .. math::
        L = \frac1B \sum_b \Big( w_+ \sum_{k=1}^M (1 - a_k) [m_k - s_b]_+
        + \frac{w_-}{N} \sum_{n=1}^N \sum_{k=1}^M a_k [s_{bn} - m_k]_+ \Big)

    Letters as in ``MultiMarginLoss``. A positive above the largest margin is not pulled any more. Sum over margins,
    mean over negatives, mean over the batch; gradient 0 from a hinge at which a score lies.

    Use:
        margins: as the multi-margin loss, where positives need not come near 1.
    Args:
        margins: (M,) increasing strictly, in the unit of the scores.
        margin_weights: (M,) in [0, 1], one per margin: the slope it adds for negatives, 1 less it for positives.
        pos_weight: weight of the positive, 0 or more.
        neg_weight: weight of the mean over the negatives, 0 or more.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: margins do not increase strictly, or there is not one weight in [0, 1] for each.
    Relations:
        ``MultiMarginLoss`` pulls the positive up to 1 instead.
    Source:
        mgulcin/mmcl @9b90663, ``tmp/multi_cosine_contrastive_loss copy.py``, positives "v1"; not in the paper.
    Differs:
        none known; the settings are those of the Multi-Margin Loss, none were published for this.
    Example:
        >>> import torch
        >>> loss = MultiMarginPositivesLoss((0.6, 0.9), (0.25, 0.75), neg_weight=2.0)
        >>> print(f"{loss(torch.tensor([0.5]), torch.tensor([[0.95, 0.65, 0.10]])).item():.6f}")
        0.266667
    """

    margins: Tensor
    margin_weights: Tensor
    ranges = searched(margins=Increasing(0.0, 1.0), margin_weights=Shares(), neg_weight=Range(1.0, 3000.0, log=True))

    def __init__(
        self,
        margins: Iterable[float] = (0.7, 0.8, 0.9),
        margin_weights: Iterable[float] = (0.1, 0.15, 0.75),
        *,
        pos_weight: float = 1.0,
        neg_weight: float = 700.0,
    ):
        super().__init__()
        margins, margin_weights = margin_tensors(margins, margin_weights)
        for position, weight in enumerate(margin_weights.tolist()):
            checks.share(f"margin_weights[{position}]", weight)
        self.register_buffer("margins", margins)  # (M,)
        self.register_buffer("margin_weights", margin_weights)  # (M,)
        self.pos_weight = checks.not_negative("pos_weight", pos_weight)
        self.neg_weight = checks.not_negative("neg_weight", neg_weight)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        below = -at_least_float32(pos_scores)[:, None]  # (B, 1); [m - s]+ is a hinge of -s at -m
        pull = multi_margin_hinge(below, -self.margins, 1 - self.margin_weights)[:, 0]  # (B,)
        push = multi_margin_hinge(at_least_float32(neg_scores), self.margins, self.margin_weights)  # (B, N)
        return (self.pos_weight * pull + self.neg_weight * mean_over_negatives(push, mask)).mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        shown = margins_shown(self.margins, self.margin_weights)
        return f"{shown}, pos_weight={self.pos_weight:g}, neg_weight={self.neg_weight:g}"
