"""UltraGCN's loss: cross-entropy with the weights that infinitely many graph convolutions would give."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from multimargin import checks
from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.base import Loss, at_least_float32, handed, mean_over_negatives
from multimargin.losses.facts import Statistics
from multimargin.losses.neighbours import item_neighbours
from multimargin.ranges import Range, searched


class GraphConstraintLoss(Loss):
    r"""Sigmoid cross-entropy weighed by degrees, which also pulls a user to the items most like each positive.
    Also known as: UltraGCN's constraint loss.

    .. math::
        L = \frac1B \sum_b \Big( (v_1 + v_2 \beta_{ui})\, \zeta(-s_b)
        + \frac{w_-}{N} \sum_n (v_3 + v_4 \beta_{un})\, \zeta(s_{bn})
        + \lambda \sum_{k \in S_i} \omega_{ik}\, \zeta(-s_{uk}) \Big) \qquad
        \beta_{ui} = \frac{\sqrt{d_u + 1}}{d_u \sqrt{d_i + 1}}

    :math:`\zeta(x) = \log(1 + e^x)`; :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`d` degrees in
    the training data, :math:`w_-` ``neg_weight``, :math:`\lambda` ``neighbour_weight``; :math:`S_i` are the items with
    the largest :math:`\omega_{ik} = G_{ik} \sqrt{g_i + 1} / (g_i \sqrt{g_k + 1})`, where :math:`G` counts common users
    and :math:`g` sums its rows. Mean over negatives, mean over the batch. Meant for unbounded scores
    (``similarity="dot"``).

    Use:
        single scores: dot products, and what a graph encoder knows without its cost.
    Args:
        weights: (v1, v2, v3, v4), 0 or more; published: (1e-6, 1, 1e-6, 1) on Gowalla, 1e-8 for 1e-6 on Yelp2018.
        neg_weight: weight of the mean over the negatives, 0 or more; published: 300 (both).
        neighbour_weight: weight of the items like the positive, 0 or more; published: 5e-4 (both).
        n_neighbours: how many there are of them, 1 or more.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range, it was not prepared, or indices or scores are not handed over.
    Relations:
        with weights (1, 0, 1, 0) and no neighbours, sigmoid cross-entropy.
    Source:
        Mao et al. 2021, arXiv 2110.15114; xue-pai/UltraGCN @b220010, the same as reczoo/RecZoo @74f8427,
        ``matching/gnn/UltraGCN/main.py`` (omega there: ``get_ii_constraint_mat``, on row and column sums of G with its
        diagonal; each user is pulled to each neighbour by omega alone, without the weight of the positive).
    Differs:
        from the code: mean over the batch for its sum (its L2 and learning rate mean something else then; Adam's step
        does not), and L2 is the optimiser's ``weight_decay``. An item counts itself as one of its neighbours, as there.
    Example:
        >>> from multimargin.losses.facts import Statistics
        >>> loss = GraphConstraintLoss((1, 0, 1, 0), neg_weight=2.0, neighbour_weight=0.0)
        >>> pairs = np.array([[0, 0], [0, 1], [1, 1]])
        >>> loss.prepare(Statistics(2, 3, pairs[:, 0], pairs[:, 1]), rng=np.random.default_rng(0))
        >>> u, i, j, near = torch.tensor([0]), torch.tensor([1]), torch.tensor([[2, 0]]), torch.zeros(1, 10)
        >>> scores = torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])
        >>> print(f"{loss(*scores, users=u, positives=i, negatives=j, companion_scores=near).item():.6f}")
        1.823595
    """

    needs = frozenset({"users", "positives", "negatives", "companion_scores"})
    similarity = "dot"
    user_factor: Tensor
    item_factor: Tensor
    neighbours: Tensor
    likeness: Tensor
    ranges = searched(neg_weight=Range(10.0, 3000.0, log=True), neighbour_weight=Range(1e-5, 1.0, log=True))

    def __init__(
        self,
        weights: tuple[float, float, float, float] = (1e-6, 1.0, 1e-6, 1.0),
        *,
        neg_weight: float = 300.0,
        neighbour_weight: float = 5e-4,
        n_neighbours: int = 10,
    ):
        super().__init__()
        self.weights = checks.numbers("weights", weights)
        if len(self.weights) != 4 or min(self.weights) < 0:
            checks.fail("weights", "be four numbers of 0 or more", self.weights)
        self.neg_weight = checks.not_negative("neg_weight", neg_weight)
        self.neighbour_weight = checks.not_negative("neighbour_weight", neighbour_weight)
        self.n_neighbours = checks.positive_int("n_neighbours", n_neighbours)
        self._ready = False

    def prepare(self, statistics: Statistics, *, rng: np.random.Generator) -> None:  # noqa: ARG002 - nothing is drawn
        """Take degrees, and find the items most like each."""
        users, items = (each.astype(np.float64) for each in (statistics.user_counts, statistics.item_counts))
        user_factor, item_factor = np.sqrt(users + 1) / np.maximum(users, 1), 1 / np.sqrt(items + 1)
        near, likeness = item_neighbours(statistics, self.n_neighbours)
        for name, values in (("user_factor", user_factor), ("item_factor", item_factor), ("likeness", likeness)):
            self.register_buffer(name, torch.from_numpy(values).float(), persistent=False)
        self.register_buffer("neighbours", torch.from_numpy(near), persistent=False)
        self._ready = True

    def companions(self, positives: Int[Tensor, " B"]) -> Int[Tensor, "B K"]:
        """Return the items most like each positive."""
        return self.neighbours[positives]

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
        users: Int[Tensor, " B"] | None = None,
        positives: Int[Tensor, " B"] | None = None,
        negatives: Int[Tensor, "B N"] | None = None,
        companion_scores: Float[Tensor, "B K"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        if not self._ready:
            self.unprepared()
        users, positives = handed("users", users), handed("positives", positives)
        pos, neg = at_least_float32(pos_scores), at_least_float32(neg_scores)
        near = at_least_float32(handed("companion_scores", companion_scores))  # (B, K)
        own, others, (v1, v2, v3, v4) = self.user_factor[users], handed("negatives", negatives), self.weights
        pull = (v1 + v2 * own * self.item_factor[positives]).to(pos.dtype) * softplus(-pos)  # (B,)
        push = (v3 + v4 * own[:, None] * self.item_factor[others]).to(neg.dtype) * softplus(neg)  # (B, N)
        alike = (self.likeness[positives].to(near.dtype) * softplus(-near)).sum(-1)  # (B,)
        rows = pull + self.neg_weight * mean_over_negatives(push, mask) + self.neighbour_weight * alike
        return rows.mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        weights = ", ".join(f"{each:g}" for each in self.weights)
        return (
            f"({weights}), neg_weight={self.neg_weight:g}, neighbour_weight={self.neighbour_weight:g}, "
            f"n_neighbours={self.n_neighbours}"
        )
