"""Sparse linear methods: each item as a non-negative combination of few others."""

import numpy as np

from multimargin import checks
from multimargin.baselines.base import Baseline, by_history, graph_of
from multimargin.data.interactions import Interactions
from multimargin.kernels.sparse_regression import sparse_regression
from multimargin.ranges import Range, searched
from multimargin.recommend.history_scorer import Histories, LinearScorer
from multimargin.recommend.scorer import Scorer


class SLIM(Baseline):
    r"""Weights with which other items reproduce who touched an item: sparse, not negative, none on itself.

    Also known as: sparse linear method.

    .. math:: s_{uj} = \sum_{i \in H_u} w_{ij}, \qquad
              w_{\cdot j} = \arg\min_{w \ge 0,\, w_j = 0} \tfrac12 \|x_j - X w\|^2 + \lambda_1 \sum_i w_i
              + \tfrac{\lambda_2}{2} \|w\|^2

    Use:
        without training: as item-knn, with minutes to fit sparse weights.
    Args:
        l1: λ1, 0 or more: above it some weights are exactly 0.
        l2: λ2, above 0.
        neighbours: the largest weights kept for each item, 1 or more.
        sweeps: how often coordinate descent visits each weight at most, 1 or more.
        tolerance: it ends before, with a sweep that moves no weight by more than this share of the largest; above 0.

    Relations:
        EASE without the constraint that weights be 0 or more, without λ1, all weights kept.
    Source:
        Ning, Karypis, ICDM 2011. BARS (reczoo/BARS @1ffaf73) took scikit-learn's ElasticNet, whose objective is divided
        by U: λ1 = U α ρ, λ2 = U α (1 - ρ), with α = .005, ρ = 1e-6 on Gowalla (Recall@20 .1699, NDCG@20 .1382) and
        α = .01, ρ = 1e-4 on Yelp2018 (.0646 / .0541); 100 weights kept.
    Differs:
        coordinates are visited in order (there at random); the sweeps end by the change of weights alone (there by the
        duality gap after it).
    Example:
        >>> SLIM(l2=100.0).neighbours
        100
    """

    ranges = searched(l1=Range(1e-5, 1.0, log=True), l2=Range(1.0, 2000.0, log=True))

    def __init__(
        self,
        *,
        l1: float = 1e-3,
        l2: float = 150.0,
        neighbours: int = 100,
        sweeps: int = 100,
        tolerance: float = 1e-4,
    ):
        self.l1 = checks.not_negative("l1", l1)
        self.l2 = checks.positive("l2", l2)
        self.neighbours = checks.positive_int("neighbours", neighbours)
        self.sweeps = checks.positive_int("sweeps", sweeps)
        self.tolerance = checks.positive("tolerance", tolerance)

    def build(self, train: Interactions, *, rng: np.random.Generator) -> Scorer:  # noqa: ARG002
        """Fit every item's weights."""
        index, value = sparse_regression(
            graph_of(train),
            min(self.neighbours, train.n_items),
            l1=self.l1,
            l2=self.l2,
            sweeps=self.sweeps,
            tolerance=self.tolerance,
        )
        return LinearScorer(Histories.of(train), by_history(index, value))
