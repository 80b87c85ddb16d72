"""The most popular items, for everybody."""

import numpy as np
import scipy.sparse

from multimargin.baselines.base import Baseline
from multimargin.data.interactions import Interactions
from multimargin.recommend.history_scorer import Histories, LinearScorer
from multimargin.recommend.scorer import Scorer


class MostPopular(Baseline):
    r"""How many users touched the item, the same for everybody.  Also known as: ItemPop, TopPop, MostPop.

    .. math:: s_{uj} = n_j

    What a personal model must beat first; on data where everybody wants the same it is hard to.

    Use:
        without training: any log; what every other must beat.
    Args:
        none.

    Relations:
        LinearScorer without weights, the counts as its bias.
    Source:
        BARS, reczoo/BARS @1ffaf73: Recall@20 .0416, NDCG@20 .0317 on Gowalla.
    Differs:
        none known.
    Example:
        >>> from multimargin import Interactions, Vocabulary
        >>> ids = Vocabulary.range(2)
        >>> log = Interactions.from_pairs(np.array([0, 1, 1]), np.array([1, 0, 1]), ids, ids)
        >>> MostPopular().build(log, rng=np.random.default_rng(0)).bias.tolist()
        [1.0, 2.0]
    """

    def build(self, train: Interactions, *, rng: np.random.Generator) -> Scorer:  # noqa: ARG002
        """Count."""
        nothing = scipy.sparse.csr_array((train.n_items, train.n_items), dtype=np.float32)
        return LinearScorer(Histories.of(train), nothing, train.item_counts.astype(np.float32))
