"""The draws of a row that score highest are taken for positives nobody has seen yet, and do not count."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.negatives.base import NegativeSampler, Scorer
from multimargin.negatives.candidates import law_of_ranks, score_all
from multimargin.negatives.filtered import FilteredNegatives


class RankFilteredNegatives(FilteredNegatives):
    r"""Leaves out the draws of each row that score highest.
    Also known as: false negative removal, top-k removal, rank filter.

    .. math:: j \text{ counts if } \#\{k : s_{uk} > s_{uj}\} \ge R

    k runs over the row's N draws, scores are those of the model at this step, without gradient. Costs one more scoring
    of each draw. Of what counts the law is that of the ranks from R on among N draws, as in ``DynamicNegatives``.

    Use:
        filters: false negatives, and scores of no known scale.
    Args:
        dropped: R, how many of the N draws of a row do not count, 0 or more; N must be above it.
        law: whose draws are filtered, any sampler of items. None: uniform, without the user's seen items.

    Returns:
        Negatives: as the law's, with ``mask`` (B, N).
    Raises:
        NoNegativesError: as the law.
        ArgumentError: the law mixes items or holds them all; N is not above ``dropped``.
    Source:
        Chen et al. 2022, arXiv 2106.03719 (false negatives by similarity, eliminated); Li et al. 2023, Soft-InfoNCE,
        Alex-HaochenLi/Soft-InfoNCE @5b7496b (drop top-k).
    Differs:
        from both: the score of user and item in place of a similarity to the positive.
    Example:
        >>> from multimargin.data.interactions import Interactions
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> from multimargin.rng import CounterRng
        >>> pairs = np.array([[0, 0], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(4))
        >>> sampler = RankFilteredNegatives(2)
        >>> sampler.build(train)
        >>> by_index = lambda users, items: np.broadcast_to(items, (len(users), items.shape[-1])).astype(np.float32)
        >>> drawn = sampler.sample(np.array([1]), np.array([2]), 5, rng=CounterRng(key=7), scorer=by_index)
        >>> drawn.index.tolist(), drawn.mask.tolist()
        ([[1, 0, 3, 1, 1]], [[False, True, False, True, True]])
    """

    def __init__(self, dropped: int = 1, *, law: NegativeSampler | None = None):
        super().__init__(law)
        self.dropped = checks.at_least("dropped", dropped, 0)

    def keep(
        self,
        users: NDArray[np.int64],  # noqa: ARG002 - ranks are of the draws alone
        positives: NDArray[np.int64],  # noqa: ARG002
        scores: NDArray[np.float32],
        scorer: Scorer,  # noqa: ARG002
    ) -> NDArray[np.bool_]:
        """Return which draws are not among the highest of their row; of equal ones the later."""
        if self.draws and scores.shape[1] <= self.dropped:
            checks.fail("n_negatives", f"be above dropped={self.dropped}", scores.shape[1])
        rank = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
        return rank >= self.dropped

    def probabilities(
        self,
        users: NDArray[np.int64],
        *,
        scorer: Scorer | None = None,
        positives: NDArray[np.int64] | None = None,
        n: int = 100,
    ) -> NDArray[np.float64]:
        """Return the law of what counts of ``n`` draws, (B, I), where these do not lean on one another."""
        law = self.law_probabilities(users, scorer=scorer, positives=positives)
        return law_of_ranks(law, score_all(users, self._n_items, scorer), n, range(self.dropped, n))
