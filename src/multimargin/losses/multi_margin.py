"""The Multi-Margin Loss: one hinge per margin on the negatives, so that easy, middling and hard ones all teach."""

import math
from collections.abc import Iterable
from typing import Literal, NoReturn

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.errors import ArgumentError
from multimargin.losses.base import Loss, at_least_float32, mean_over_negatives
from multimargin.losses.facts import Hinges, Statistics
from multimargin.losses.margins import margin_tensors, margins_shown, multi_margin_hinge
from multimargin.ranges import Increasing, Range, Shares, searched

_AUTO = 10.0  # of the weight set from the data: from trials on four data sets, docs/margins.md


class MultiMarginLoss(Loss):
    r"""Not ``torch.nn.MultiMarginLoss``, which is a loss of classification: pulls each positive's score up to 1 and
    pushes negatives down, harder with every margin they exceed.  Also known as: MML, MMCL, Multi-Margin Cosine Loss.

    .. math::
        L = \frac1B \sum_b \Big( w_+ [1 - s_b]_+ + \frac{w_-}{N} \sum_{n=1}^N \sum_{k=1}^M a_k [s_{bn} - m_k]_+ \Big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`m_k` ``margins``, :math:`a_k`
    ``margin_weights``, :math:`w_+` ``pos_weight``, :math:`w_-` ``neg_weight``. Sum over margins, mean over negatives,
    mean over the batch.
    A score exactly at a margin, and a positive exactly at 1, have gradient 0 from that hinge.
    Memory is O(B N) whatever M: the push is one convex function of a score, differentiated from the score alone.

    ``neg_weight="auto"`` is set from the n training pairs of U users and I items:

    .. math:: w_- = \frac{10\, w_+}{\sum_k a_k} \sqrt{\frac{U I}{n}}

    that is 410 for Gowalla and 48 for MovieLens 100k: the sparser the data, the heavier, but less than in proportion.

    Use:
        margins: cosines, few or many negatives, and no time to tune; the default.
    Args:
        margins: (M,) increasing strictly, in the unit of the scores: for cosine, in (-1, 1). Default: Gowalla's.
        margin_weights: (M,) 0 or more, one per margin: the slope each adds once exceeded. Default: Gowalla's.
        pos_weight: weight of the positive, 0 or more.
        neg_weight: weight of the mean over the negatives, 0 or more, or "auto", which needs ``prepare``; published are
            700 for Gowalla, where "auto" is 1,510, and 400 for Yelp2018, where it is 974.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: margins do not increase strictly, or there is not one weight, 0 or more, for each; all are 0 and
            ``neg_weight`` is "auto"; or it is, and the loss was not prepared.
    Relations:
        equals ``CosineContrastiveLoss(m, neg_weight=w)`` when ``margins == (m,)``, ``margin_weights == (1,)``.
        Above the top margin it is one hinge of slope sum(a) at sum(a m) / sum(a).
    Source:
        Ozsoy 2024, arXiv 2405.04614; mgulcin/mmcl @607510e, ``multi_cosine_contrastive_loss.py``.
    Differs:
        from the code in memory only, O(B N) for O(B M N); from the paper, as the code does: a weight ``neg_weight`` on
        the whole push, and a hinge on the positive (of effect only where dropout lifts a cosine above 1); "auto" is
        ours (docs/margins.md).
    Example:
        >>> import torch
        >>> loss = MultiMarginLoss((0.6, 0.9), (0.25, 0.75), neg_weight=2.0)
        >>> value = loss(torch.tensor([0.8]), torch.tensor([[0.95, 0.65, 0.10]]))
        >>> print(f"{value.item():.6f}")
        0.291667
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
        neg_weight: float | Literal["auto"] = "auto",
    ):
        super().__init__()
        margins, margin_weights = margin_tensors(margins, margin_weights)
        self.register_buffer("margins", margins)  # (M,)
        self.register_buffer("margin_weights", margin_weights)  # (M,)
        self.pos_weight = checks.not_negative("pos_weight", pos_weight)
        self._auto = neg_weight == "auto"
        self._neg_weight: float | None = None
        if self._auto and not margin_weights.any():
            checks.fail("margin_weights", "not all be 0 where neg_weight is 'auto'", margin_weights.tolist())
        if isinstance(neg_weight, str) and not self._auto:
            checks.fail("neg_weight", "be a number of 0 or more, or 'auto'", neg_weight)
        if not isinstance(neg_weight, str):
            self._neg_weight = checks.not_negative("neg_weight", neg_weight)

    @property
    def neg_weight(self) -> float:
        """Weight of the mean over the negatives, a number also where it is set from the data."""
        if self._neg_weight is None:
            self.unprepared()
        return self._neg_weight

    def prepare(self, statistics: Statistics, *, rng: np.random.Generator) -> None:  # noqa: ARG002 - nothing is drawn
        """Set ``neg_weight`` if it is "auto"."""
        if self._auto:
            sparsity = statistics.n_users * statistics.n_items / len(statistics.user_index)
            self._neg_weight = _AUTO * self.pos_weight * math.sqrt(sparsity) / sum(self.margin_weights.tolist())

    def unprepared(self) -> NoReturn:
        """Raise, for a weight that is to be set from data which nobody has shown."""
        raise ArgumentError(
            "MultiMarginLoss must be prepared before use: neg_weight='auto' is set from the training data. "
            "Give a number (700 is Gowalla's), or call prepare(Statistics(...), rng=...) first."
        )

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        pos_scores, neg_scores = at_least_float32(pos_scores), at_least_float32(neg_scores)
        pull = (1 - pos_scores).relu()  # (B,)
        push = multi_margin_hinge(neg_scores, self.margins, self.margin_weights)  # (B, N), Σ over M
        return (self.pos_weight * pull + self.neg_weight * mean_over_negatives(push, mask)).mean()

    def terms(self) -> Hinges:
        """Return the loss as hinges: ``neg_weight`` is multiplied into the slopes."""
        slopes = tuple(self.neg_weight * weight for weight in self.margin_weights.tolist())
        return Hinges(self.pos_weight, tuple(self.margins.tolist()), slopes)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        shown = margins_shown(self.margins, self.margin_weights)
        number = "" if self._neg_weight is None else f"{self._neg_weight:g}"
        weight = f"'auto' {number}".strip() if self._auto else number
        return f"{shown}, pos_weight={self.pos_weight:g}, neg_weight={weight}"
