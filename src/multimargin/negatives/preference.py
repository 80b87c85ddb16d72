"""Candidates are drawn as the model would recommend them: in proportion to a softmax of their scores."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Negatives, NegativeSampler, Scorer
from multimargin.negatives.candidates import candidate_law, pick, score_all, scored_candidates, softmax
from multimargin.ranges import Range, searched
from multimargin.rng import CounterRng


class PreferenceNegatives(NegativeSampler):
    r"""Draws a pool of candidates for each row, and from it in proportion to the softmax of the model's own scores.
    Also known as: GenNi's generated negatives, softmax sampling, adaptive or self-adversarial sampling.

    .. math:: q(j \mid u) = \frac{e^{a\, s_{uj} / \tau}}{\sum_{i \in P} e^{a\, s_{ui} / \tau}}, \qquad
              j \in P,\; |P| = C, \qquad a = \min(1, \mathrm{epoch} / W)

    P is a pool of ``pool_size`` draws from ``law``, :math:`s` the score as it is now, without gradient; with an encoder
    of sequences, as of the interaction. Epochs count from 0, so that with a warm-up the first draws as ``law`` does.
    Easy at first, when scores are alike, harder as the model learns. With replacement from one pool per row, so N
    should be small against C. Costs C scorings and exponentials per row, whatever N.

    Use:
        hard: hard negatives that get harder as the model learns; sequences.
    Args:
        temperature: above 0; the lower, the harder. For dot products about 1, for cosines about 0.1.
        pool_size: C, 1 or more.
        law: what candidates are drawn from. None: uniform, without the user's seen items.
        warm_up: W, epochs until the temperature is in full force, 0 or more; 0: from the first on, a = 1.

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
        GenNi has no public code; temperature, pool size and warm-up are ours. It is for sequences there (here with
        ``SASRec``).
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
    ranges = searched(temperature=Range(0.01, 1.0, log=True))

    def __init__(
        self, temperature: float = 0.1, pool_size: int = 100, *, law: NegativeSampler | None = None, warm_up: int = 0
    ):
        self.temperature = checks.positive("temperature", temperature)
        self.pool_size = checks.positive_int("pool_size", pool_size)
        self.law = candidate_law(law)
        self.warm_up = checks.at_least("warm_up", warm_up, 0)
        self._force = 0.0 if self.warm_up else 1.0

    def build(self, train: Interactions) -> None:
        """Build the candidates' law."""
        self._n_items = train.n_items
        self.law.build(train)

    def start_epoch(
        self,
        epoch: int,
        *,
        rng: CounterRng,  # noqa: ARG002
        user_vectors: NDArray[np.float32] | None = None,  # noqa: ARG002
        item_vectors: NDArray[np.float32] | None = None,  # noqa: ARG002
    ) -> None:
        """Take the share of the temperature's force that is due."""
        self._force = min(1.0, epoch / self.warm_up) if self.warm_up else 1.0

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
        return pick(index, scores, softmax(self._logits(scores)), n, rng)

    def probabilities(self, users: NDArray[np.int64], *, scorer: Scorer | None = None) -> NDArray[np.float64]:
        """Return what the law tends to as the pool grows, (B, I)."""
        weights = self.law.probabilities(users) * softmax(self._logits(score_all(users, self._n_items, scorer)))
        weights /= weights.sum(axis=1, keepdims=True)
        return weights

    def _logits(self, scores: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return scores as they count in this epoch; -inf, what the law masks, stays so without any force."""
        return np.where(np.isfinite(scores), scores * (self._force / self.temperature), scores)
