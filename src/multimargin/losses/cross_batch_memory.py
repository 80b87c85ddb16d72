"""Pair weighting over a memory of past items: a contrastive loss on the batch's negatives and on a queue."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, handed, mean_over_negatives
from multimargin.ranges import Range, searched


class CrossBatchMemoryLoss(Loss):
    r"""Pulls each positive's score up to 1 and pushes down what scores above a threshold, among the negatives and among
    the positives of past batches.  Also known as: XBM with contrastive loss; pair weighting over an embedding memory.

    .. math::
        L = \frac1B \sum_b \Big( 1 - s_b + \frac{w_-}{N} \sum_n [s_{bn} > \lambda]\, s_{bn}
        + \frac{w_m}{|Q_b|} \sum_{k \in Q_b} [s_{bk} > \lambda]\, s_{bk} \Big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`\lambda` ``threshold``, :math:`w_-`
    ``neg_weight``, :math:`w_m` ``memory_weight``, :math:`Q_b` the last items of past batches, but for the row's own.
    The value jumps at the threshold; the gradient is that of a hinge there, 0 at the threshold itself. Mean over
    negatives, over the memory and over the batch. For cosines.

    Use:
        margins: small batches whose past positives shall serve as hard negatives too.
    Args:
        threshold: score above which a pair is pushed, in the unit of the scores.
        neg_weight: weight of the mean over the negatives, 0 or more; N gives the published sum.
        memory_weight: weight of the mean over the memory, 0 or more; its size gives the published sum.
        memory_size: how many items are remembered, 1 or more; each step scores all of them with each of the batch's
            users.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range, or positives or their companions' scores are not handed over.
    Relations:
        the gradient of ``CosineContrastiveLoss(threshold)`` (for positives below 1) over negatives and memory.
    Source:
        Wang et al. 2020, arXiv 1912.06798; msight-tech/research-xbm @223ecdc (threshold 0.5, size 8192). "Rethinking
        deep contrastive learning with embedding memory", arXiv 2103.14003, whose weights are of this kind.
    Differs:
        from the code: ids are remembered and their vectors read anew, so that they are never stale, nothing has to warm
        up, and gradients reach them. A queue of vectors saves encoding the memory again, which images need: here a
        table or a graph has the vectors at hand, and an encoder of batches encodes each remembered item once a step. A
        row's own item is left out by its index, not by a score below 1 - 1e-5; means for sums; a queue that is a
        circle. Of 2103.14003 there is no code: its abstract finds that hard negatives matter and weights of positives
        do not, and uses a momentum encoder for the memory; fresh vectors stand for that encoder.
    Example:
        >>> loss = CrossBatchMemoryLoss(0.1, neg_weight=2.0, memory_size=2)
        >>> scores = torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])
        >>> print(f"{loss(*scores, positives=torch.tensor([4]), companion_scores=torch.zeros(1, 2)).item():.6f}")
        0.500000
        >>> loss.companions(torch.tensor([7])).tolist()
        [[4, 0]]
    """

    needs = frozenset({"positives", "companion_scores"})
    memory: Tensor
    cursor: Tensor
    ranges = searched(
        threshold=Range(0.0, 1.0), neg_weight=Range(0.5, 500.0, log=True), memory_weight=Range(0.5, 500.0, log=True)
    )

    def __init__(
        self,
        threshold: float = 0.5,
        *,
        neg_weight: float = 10.0,
        memory_weight: float = 10.0,
        memory_size: int = 1024,
    ):
        super().__init__()
        self.threshold = checks.finite("threshold", threshold)
        self.neg_weight = checks.not_negative("neg_weight", neg_weight)
        self.memory_weight = checks.not_negative("memory_weight", memory_weight)
        size = checks.positive_int("memory_size", memory_size)
        self.register_buffer("memory", torch.full((size,), -1))  # -1: nothing yet
        self.register_buffer("cursor", torch.zeros((), dtype=torch.int64))

    def companions(self, positives: Int[Tensor, " B"]) -> Int[Tensor, "B K"]:
        """Return what is remembered, the same for every row."""
        return self.memory.clamp(min=0).expand(len(positives), -1)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
        positives: Int[Tensor, " B"] | None = None,
        companion_scores: Float[Tensor, "B K"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        positives = handed("positives", positives)
        past = at_least_float32(handed("companion_scores", companion_scores))  # (B, S)
        other = (self.memory >= 0) & (self.memory != positives[:, None])  # (B, S)
        push = self.neg_weight * mean_over_negatives(self._above(at_least_float32(neg_scores)), mask)  # (B,)
        push = push + self.memory_weight * mean_over_negatives(self._above(past), other)
        self._remember(positives)
        return (1 - at_least_float32(pos_scores) + push).mean()

    def _above(self, scores: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        return torch.where(scores > self.threshold, scores, 0.0)

    @torch.no_grad()
    def _remember(self, positives: Int[Tensor, " B"]) -> None:
        size = len(self.memory)
        latest = positives[-size:]
        place = (self.cursor + torch.arange(len(latest), device=latest.device)) % size
        self.memory.copy_(self.memory.scatter(0, place, latest))
        self.cursor.copy_((self.cursor + len(latest)) % size)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return (
            f"{self.threshold:g}, neg_weight={self.neg_weight:g}, memory_weight={self.memory_weight:g}, "
            f"memory_size={len(self.memory)}"
        )
