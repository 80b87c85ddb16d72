"""Soft-InfoNCE: negatives that a frozen similarity finds like the positive weigh less."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from multimargin import checks
from multimargin.kernels.sampled_scores import sampled_scores
from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.base import Loss, at_least_float32, handed
from multimargin.losses.facts import Statistics
from multimargin.losses.reductions import log_mean_exp
from multimargin.ranges import Range, searched

_RANK = 32  # of the factorisation that stands in for item vectors


class SoftContrastiveLoss(Loss):
    r"""Softmax loss in which negatives that are like the positive, by vectors that stay as they are, weigh less: they
    may be positives too.  Also known as: Soft-InfoNCE.

    .. math::
        L = \frac1B \sum_b \log\Big( 1 + \frac{w_-}{N} \sum_n w_{bn}\, e^{(s_{bn} - s_b)/\tau} \Big) \qquad
        w_{bn} = \max\Big( \frac{\beta - \alpha p_{bn}}{\beta - \alpha / N},\, 0.1 \Big) \qquad
        p_{bn} = \frac{e^{v_i^\top v_n / t}}{\sum_m e^{v_i^\top v_m / t}}

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`\tau` ``temperature``, :math:`w_-`
    ``neg_weight``, :math:`v` the frozen vectors at length 1, :math:`\alpha` ``softness``, :math:`\beta` ``uniformity``,
    t ``similarity_temperature``. Weights are 1 on average before they are cut off. Mean over negatives, mean over the
    batch. A weight depends on how many negatives share out p, so the number of negatives plays a part.

    Use:
        doubtful negatives: item vectors from elsewhere that tell which negatives are like the positive.
    Args:
        item_vectors: (I, any) vectors in the order of the item vocabulary, as an array or the path of a ``.npy`` file:
            of texts, images, another model. None: the leading left and right directions of the training matrix (scaled
            by degrees), which put items with the same users together.
        temperature: what scores are divided by, above 0; the published 1 is for dot products.
        softness: alpha, 0 or more; 0 weighs all alike.
        uniformity: beta, above 0.
        similarity_temperature: what similarities are divided by, above 0.
        neg_weight: for how many negatives their mean stands, above 0; N gives the published sum.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range, it was not prepared, there is not one vector for each item, or
            indices are not handed over.
    Relations:
        ``SampledSoftmaxLoss`` when ``softness == 0``.
    Source:
        Li et al. 2023, arXiv 2310.08069; Alex-HaochenLi/Soft-InfoNCE @5b7496b (alpha, beta, t all 1).
    Differs:
        from the code: similarities are of items, not of a query and codes; a temperature for the scores. With a single
        negative, or wherever beta N <= alpha, the weight is 1. Its per-data alpha and beta could not be found.
    Example:
        >>> loss = SoftContrastiveLoss(np.eye(3), temperature=0.5, neg_weight=2.0)
        >>> loss.prepare(Statistics(1, 3, np.array([0]), np.array([0])), rng=np.random.default_rng(0))
        >>> indices = {"positives": torch.tensor([0]), "negatives": torch.tensor([[1, 0]])}
        >>> print(f"{loss(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]]), **indices).item():.6f}")
        0.476655
    """

    needs = frozenset({"positives", "negatives"})
    breaks = frozenset({"negatives"})
    vectors: Tensor
    ranges = searched(temperature=Range(0.05, 2.0, log=True), softness=Range(0.0, 2.0))

    def __init__(
        self,
        item_vectors: Any = None,
        *,
        temperature: float = 1.0,
        softness: float = 1.0,
        uniformity: float = 1.0,
        similarity_temperature: float = 1.0,
        neg_weight: float = 100.0,
    ):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.softness = checks.not_negative("softness", softness)
        self.uniformity = checks.positive("uniformity", uniformity)
        self.similarity_temperature = checks.positive("similarity_temperature", similarity_temperature)
        self.neg_weight = checks.positive("neg_weight", neg_weight)
        self._given, self._ready = item_vectors, False

    def prepare(self, statistics: Statistics, *, rng: np.random.Generator) -> None:
        """Read the vectors, or factorise the training matrix."""
        given = self._given
        if isinstance(given, (str, Path)):
            given = np.load(given, allow_pickle=False)
        values = _directions(statistics, rng) if given is None else np.asarray(given, dtype=np.float32)
        if values.ndim != 2 or len(values) != statistics.n_items:
            checks.fail("item_vectors", f"be one row for each of {statistics.n_items} items", values.shape)
        self.register_buffer("vectors", normalize(torch.from_numpy(values), dim=-1))
        self._ready = True

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
        positives: Int[Tensor, " B"] | None = None,
        negatives: Int[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        if not self._ready:
            self.unprepared()
        positives, negatives = handed("positives", positives), handed("negatives", negatives)
        behind = (at_least_float32(neg_scores) - at_least_float32(pos_scores)[:, None]) / self.temperature  # (B, N)
        like = sampled_scores(self.vectors, self.vectors, positives, positives, negatives, similarity="dot")[1]
        counted = torch.ones_like(negatives, dtype=torch.bool) if mask is None else mask
        like = torch.where(counted, like.to(behind.dtype) / self.similarity_temperature, -1e4)  # if none, all alike
        number = counted.sum(-1, keepdim=True).clamp(min=1)  # (B, 1)
        whole = self.uniformity - self.softness / number
        weight = (self.uniformity - self.softness * like.softmax(-1)) / torch.where(whole > 0, whole, 1.0)
        logits = torch.where(whole > 0, weight.clamp(min=0.1), 1.0).log() + behind  # (B, N)
        return softplus(log_mean_exp(logits, mask, empty=-math.inf) + math.log(self.neg_weight)).mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return (
            f"temperature={self.temperature:g}, softness={self.softness:g}, uniformity={self.uniformity:g}, "
            f"similarity_temperature={self.similarity_temperature:g}, neg_weight={self.neg_weight:g}"
        )


def _directions(statistics: Statistics, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return item vectors from the leading singular directions of the degree-scaled training matrix."""
    from scipy.sparse import csr_array

    users, items = statistics.user_index, statistics.item_index
    scale = 1 / np.sqrt(statistics.user_counts[users] * statistics.item_counts[items])
    matrix = csr_array((scale, (users, items)), shape=(statistics.n_users, statistics.n_items))
    rank = min(_RANK, *matrix.shape)
    basis = rng.standard_normal((statistics.n_items, min(rank + 8, statistics.n_items)))
    for _ in range(8):  # subspace iteration: the same bits each time, which ARPACK does not give
        basis, _ = np.linalg.qr(matrix.T @ (matrix @ basis))
    _, values, turn = np.linalg.svd(matrix @ basis, full_matrices=False)
    result: NDArray[np.float32] = ((basis @ turn.T)[:, :rank] * values[:rank]).astype(np.float32)
    return result
