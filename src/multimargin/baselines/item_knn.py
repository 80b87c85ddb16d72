"""Item-based nearest neighbours."""

import numpy as np

from multimargin import checks
from multimargin.baselines.base import Baseline, by_history, graph_of
from multimargin.data.interactions import Interactions
from multimargin.kernels.item_neighbours import MEASURES, item_neighbours
from multimargin.ranges import Range, searched
from multimargin.recommend.history_scorer import Histories, LinearScorer
from multimargin.recommend.scorer import Scorer


class ItemKNN(Baseline):
    r"""How similar an item's k nearest neighbours in the history are to it.  Also known as: ItemCF, item-based CF.

    .. math:: s_{uj} = \sum_{i \in H_u \cap N_k(j)} w_{ij}, \qquad
              w_{ij} = \frac{\mathrm{sim}(i, j)}{\sum_{l \in N_k(j)} \mathrm{sim}(l, j)}

    The neighbours are the target's: N_k(j) are the k items most similar to j with a similarity above 0.

    Use:
        without training: some interactions an item; lists that can be explained by an item in the history.
    Args:
        neighbours: k, 1 or more.
        similarity: "cosine", "jaccard" or "pearson" (of the two columns of zeros and ones).
        shrinkage: added to the denominator of the similarity, 0 or more: makes those that few users speak for smaller.
        normalise: divide by the sum of the k similarities, as in the formula; if not, popular items rank higher.
        centre: score deviations from each item's mean and add the target's own: adds the constant
            (n_j - Σ_i w_ij n_i) / U to the scores of item j.

    Relations:
        With neighbours = 1 and no constant, an item is recommended by the one item most like it.
    Source:
        Sarwar, Karypis, Konstan, Riedl, WWW 2001; these defaults are those of BARS on Gowalla, reczoo/BARS @1ffaf73:
        Recall@20 .1570, NDCG@20 .1214. On Yelp2018 "pearson" with 150: .0639 / .0531.
    Differs:
        ties among neighbours go to the lower index (there to the sort's whim).
    Example:
        >>> ItemKNN(50, similarity="jaccard").neighbours
        50
    """

    ranges = searched(neighbours=Range(20, 500, log=True), shrinkage=Range(0.0, 100.0))

    def __init__(
        self,
        neighbours: int = 100,
        *,
        similarity: str = "cosine",
        shrinkage: float = 0.0,
        normalise: bool = True,
        centre: bool = True,
    ):
        self.neighbours = checks.positive_int("neighbours", neighbours)
        self.similarity = checks.choice("similarity", similarity, MEASURES)
        self.shrinkage = checks.not_negative("shrinkage", shrinkage)
        self.normalise = normalise
        self.centre = centre

    def build(self, train: Interactions, *, rng: np.random.Generator) -> Scorer:  # noqa: ARG002
        """Find every item's neighbours."""
        index, value = item_neighbours(
            graph_of(train), min(self.neighbours, train.n_items), measure=self.similarity, shrinkage=self.shrinkage
        )
        if self.normalise:
            total = value.sum(1, dtype=np.float64, keepdims=True)
            value = np.divide(value, total, out=np.zeros(value.shape), where=total > 0).astype(np.float32)
        weights = by_history(index, value)
        bias = None
        if self.centre:
            means = train.item_counts / max(train.n_users, 1)
            bias = (means - weights.T @ means).astype(np.float32)
        return LinearScorer(Histories.of(train), weights, bias)
