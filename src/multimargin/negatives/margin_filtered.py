"""What scores too near to its positive is taken for a positive nobody has seen yet, and does not count."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.negatives.base import NegativeSampler, Scorer
from multimargin.negatives.candidates import required, score_all
from multimargin.negatives.filtered import FilteredNegatives
from multimargin.ranges import Range, searched


class MarginFilteredNegatives(FilteredNegatives):
    r"""Leaves out draws that score too near to their positive, or above it.
    Also known as: false negative removal, score-margin filter, positive-aware hard negative mining.

    .. math:: j \text{ counts if } s_{uj} < s_{ui} - m

    Scores are those of the model at this step, without gradient. Costs one more scoring of each draw.

    Use:
        filters: false negatives that score as high as positives do.
    Args:
        margin: m, in the unit of the scores; below 0, draws may exceed the positive by as much.
        law: whose draws are filtered, any sampler of items. None: uniform, without the user's seen items.

    Returns:
        Negatives: as the law's, with ``mask`` (B, N). A row may have no negative left in this step.
    Raises:
        NoNegativesError: as the law.
        ArgumentError: the law mixes items or holds them all.
    Source:
        Qu et al. 2021, arXiv 2010.08191, section 4.2 (denoised negatives); Moreira et al. 2024, arXiv 2407.15831
        (NV-Retriever: "TopK-MarginPos").
    Differs:
        from both: the model at this step in place of a trained teacher. RocketQA's threshold is a number, the same for
        all positives; NV-Retriever's other filter, "TopK-PercPos", takes a share of the positive's score, which means
        nothing for scores of either sign, and is left out.
    Example:
        >>> from multimargin.data.interactions import Interactions
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> from multimargin.rng import CounterRng
        >>> pairs = np.array([[0, 0], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(4))
        >>> sampler = MarginFilteredNegatives(0.5)
        >>> sampler.build(train)
        >>> by_index = lambda users, items: np.broadcast_to(items, (len(users), items.shape[-1])).astype(np.float32)
        >>> drawn = sampler.sample(np.array([1]), np.array([2]), 5, rng=CounterRng(key=7), scorer=by_index)
        >>> drawn.index.tolist(), drawn.mask.tolist()
        ([[1, 0, 3, 1, 1]], [[True, True, False, True, True]])
    """

    ranges = searched(margin=Range(-0.5, 0.5))

    def __init__(self, margin: float = 0.0, *, law: NegativeSampler | None = None):
        super().__init__(law)
        self.margin = checks.finite("margin", margin)

    def keep(
        self, users: NDArray[np.int64], positives: NDArray[np.int64], scores: NDArray[np.float32], scorer: Scorer
    ) -> NDArray[np.bool_]:
        """Return which draws score below their positive by more than the margin."""
        return scores < scorer(users, positives[:, None]) - np.float32(self.margin)

    def probabilities(
        self, users: NDArray[np.int64], *, scorer: Scorer | None = None, positives: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return the law of what counts, (B, I), for ``positives`` (B,), item 0 if None."""
        positives = np.zeros_like(users) if positives is None else positives
        limit = required(scorer)(users, positives[:, None])
        law = self.law_probabilities(users, scorer=scorer, positives=positives)
        law = law * (score_all(users, self._n_items, scorer) < limit - self.margin)
        total = law.sum(axis=1, keepdims=True)
        return law / np.where(total > 0, total, 1.0)
