"""DirectAU: users near their items, users and items each spread over the sphere; no negatives."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, handed
from multimargin.ranges import Range, searched


class AlignmentUniformityLoss(Loss):
    r"""Pulls the directions of users and their items together and spreads those of users, and of items, apart; without
    negatives.  Also known as: DirectAU, alignment and uniformity.

    .. math::
        L = \frac1B \sum_b \|u_b - i_b\|^2 + \frac{\gamma}{2} \sum_{x \in \{u, i\}}
        \log \frac{2}{B (B - 1)} \sum_{b < c} e^{-2 \|x_b - x_c\|^2}

    :math:`u_b, i_b` are the batch's vectors at length 1, :math:`\gamma` ``uniformity``. Rows of the same user or item
    count as they come. Mean over the batch and over its pairs: the latter has twice the number of equal pairs in a
    batch twice over, so that the size of the batch plays a part. Memory is O(B B).

    Use:
        no negatives: vectors at hand, large batches, and no wish to draw negatives.
    Args:
        uniformity: weight of the spread, 0 or more; published: 1 (Yelp), 5 (Gowalla), 0.5 (Beauty).

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: the weight is below 0, or vectors are not handed over.
    Relations:
        the alignment is 2 - 2 cos, the positive's term of contrastive losses.
    Source:
        Wang et al. 2022, arXiv 2206.12811; THUwangcy/DirectAU @60c964b.
    Differs:
        from the code in ranking only: it ranks by the inner product of vectors whose length was never trained; here the
        encoder's similarity ranks. A batch of one has no spread.
    Example:
        >>> loss = AlignmentUniformityLoss(1.0)
        >>> u, i = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
        >>> print(f"{loss(torch.zeros(2), torch.zeros(2, 0), user_vectors=u, positive_vectors=i).item():.6f}")
        -2.600000
    """

    needs = frozenset({"user_vectors", "positive_vectors"})
    uses_negatives = False
    breaks = frozenset({"batch"})
    ranges = searched(uniformity=Range(0.1, 10.0, log=True))

    def __init__(self, uniformity: float = 1.0):
        super().__init__()
        self.uniformity = checks.not_negative("uniformity", uniformity)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],  # noqa: ARG002 - vectors say it all
        neg_scores: Float[Tensor, "B N"],  # noqa: ARG002
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002
        mask: Bool[Tensor, "B N"] | None = None,  # noqa: ARG002
        user_vectors: Float[Tensor, "B D"] | None = None,
        positive_vectors: Float[Tensor, "B D"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the loss; vectors as in ``Loss.needs``, scores unused."""
        users = normalize(at_least_float32(handed("user_vectors", user_vectors)), dim=-1)  # (B, D)
        items = normalize(at_least_float32(handed("positive_vectors", positive_vectors)), dim=-1)
        alignment = (users - items).square().sum(-1).mean()
        return alignment + self.uniformity / 2 * (_spread(users) + _spread(items))

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.uniformity:g}"


def _spread(vectors: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Return log mean e^(-2 d^2) over the pairs of rows, d^2 = 2 - 2 cos; 0 for a single row."""
    rows = len(vectors)
    if rows < 2:
        return vectors.sum() * 0
    logits = -2 * (2 - 2 * vectors @ vectors.T)  # (B, B)
    itself = torch.eye(rows, dtype=torch.bool, device=vectors.device)
    return logits.masked_fill(itself, -torch.inf).flatten().logsumexp(0) - math.log(rows * (rows - 1))
