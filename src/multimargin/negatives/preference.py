"""Candidates are drawn as the model would recommend them: in proportion to a softmax of their scores."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Negatives, NegativeSampler, Scorer
from multimargin.negatives.candidates import candidate_law, pick, score_all, scored_candidates, softmax
from multimargin.rng import CounterRng


class PreferenceNegatives(NegativeSampler):
    r"""Draws a pool of candidates for each row, and from it in proportion to the softmax of the model's own scores.
    Also known as: GenNi's generated negatives, softmax sampling, adaptive or self-adversarial sampling.

    .. math:: q(j \mid u) = \frac{e^{s_{uj} / \tau}}{\sum_{i \in P} e^{s_{ui} / \tau}}, \qquad j \in P,\; |P| = C

    P is a pool of ``pool_size`` draws from ``law``, :math:`s` the score as it is now, without gradient. Easy at first,
    when scores are alike, harder as the model learns. With replacement from one pool per row, so N should be small
    against C. Costs C scorings and exponentials per row, whatever N.

    Use:
        hard: hard negatives that get harder as the model learns; sequences.
    Args:
        temperature: above 0; the lower, the harder. For dot products about 1, for cosines about 0.1.
        pool_size: C, 1 or more.
        law: what candidates are drawn from. None: uniform, without the user's seen items.

    Returns:
        Negatives: ``sample`` gives ``index`` (B, N); no ``log_q``, since being hard is its purpose; a ``mask`` where
        the law has one.
    Raises:
        NoNegativesError: as the law.
        ArgumentError: the temperature is not above 0; the law cannot be drawn from.
    Source:
        Chen et al. 2022, arXiv 2208.03645 (GenNi); self-adversarial weights: Sun et al. 2019, arXiv 1902.10197, section
        3.4.
    Differs:
        GenNi has no public code; temperature and pool size are ours, and it is for sequences there.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(4))
        >>> sampler = PreferenceNegatives(0.5)
        >>> sampler.build(train)
        >>> by_index = lambda users, items: np.broadcast_to(items, (len(users), items.shape[-1])).astype(np.float32)
        >>> sampler.sample(np.array([1]), np.array([2]), 6, rng=CounterRng(key=7), scorer=by_index).index.tolist()
        [[3, 3, 3, 3, 3, 3]]
    """

    needs = frozenset({"scores"})
    law_is_limit = True

    def __init__(self, temperature: float = 0.1, pool_size: int = 100, *, law: NegativeSampler | None = None):
        self.temperature = checks.positive("temperature", temperature)
        self.pool_size = checks.positive_int("pool_size", pool_size)
        self.law = candidate_law(law)

    def build(self, train: Interactions) -> None:
        """Build the candidates' law."""
        self._n_items = train.n_items
        self.law.build(train)

    def sample(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],
        n: int,
        *,
        rng: CounterRng,
        scorer: Scorer | None = None,
    ) -> Negatives:
        """Draw ``n`` of a pool for each row; arguments as in ``NegativeSampler.sample``."""
        index, scores = scored_candidates(self.law, users, positives, self.pool_size, rng, scorer)
        return pick(index, scores, softmax(scores / self.temperature), n, rng)

    def probabilities(self, users: NDArray[np.int64], *, scorer: Scorer | None = None) -> NDArray[np.float64]:
        """Return what the law tends to as the pool grows, (B, I)."""
        weights = self.law.probabilities(users) * softmax(score_all(users, self._n_items, scorer) / self.temperature)
        weights /= weights.sum(axis=1, keepdims=True)
        return weights
