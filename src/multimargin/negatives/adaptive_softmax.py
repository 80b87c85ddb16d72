"""Candidates are drawn in proportion to a softmax of their BPR loss, at a temperature fitted to each row."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Negatives, NegativeSampler, Scorer
from multimargin.negatives.candidates import candidate_law, pick, required, score_all, scored_candidates, softmax
from multimargin.ranges import Range, searched
from multimargin.rng import CounterRng


class AdaptiveSoftmaxNegatives(NegativeSampler):
    r"""Draws from a pool in proportion to a softmax of each candidate's BPR loss, at a temperature fitted to the row.
    Also known as: Softmax-v(rho, N), Softmax(rho, N), softmax sampling by distributionally robust optimisation.

    .. math:: q(j \mid u, i) = \frac{e^{z_j / \tau}}{\sum_{k \in P} e^{z_k / \tau}}, \quad
              z_j = \log(1 + e^{s_{uj} - s_{ui}}), \quad \tau = \sqrt{\mathrm{Var}_P(z) / (2 \rho)}

    :math:`s_{ui}` is the positive's score, P a pool of ``pool_size`` draws from ``law``. Drawing by q and taking the
    mean has the expectation of the published weighted sum over P, and works with any loss. Costs C + 1 scorings,
    logarithms and exponentials per row, whatever N.

    Use:
        hard: hard negatives with one radius to tune instead of a temperature.
    Args:
        rho: radius, above 0; the larger, the harder.
        pool_size: C, 1 or more.
        law: what candidates are drawn from. None: uniform, without the user's seen items.

    Returns:
        Negatives: as ``PreferenceNegatives``.
    Raises:
        NoNegativesError: as the law.
        ArgumentError: ``rho`` is not above 0; the law cannot be drawn from.
    Source:
        Shi et al. 2023, "On the theories behind hard negative sampling for recommendation", WWW; swt-user/WWW_2023_code
        @dd00aad.
    Differs:
        from the code, which weighs all of P where we draw N of it, sums where our losses take means, and draws
        candidates from all items (``law=UniformNegatives()``).
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(4))
        >>> sampler = AdaptiveSoftmaxNegatives(0.5)
        >>> sampler.build(train)
        >>> by_index = lambda users, items: np.broadcast_to(items, (len(users), items.shape[-1])).astype(np.float32)
        >>> sampler.sample(np.array([1]), np.array([2]), 6, rng=CounterRng(key=7), scorer=by_index).index.tolist()
        [[1, 3, 3, 3, 3, 3]]
    """

    needs = frozenset({"scores"})
    law_is_limit = True
    ranges = searched(rho=Range(0.05, 20.0, log=True))

    def __init__(self, rho: float = 1.0, pool_size: int = 200, *, law: NegativeSampler | None = None):
        self.rho = checks.positive("rho", rho)
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
        ahead = scores - required(scorer)(users, positives[:, None])
        return pick(index, scores, self._weights(ahead, np.isfinite(scores) * 1.0), n, rng)

    def probabilities(
        self, users: NDArray[np.int64], *, scorer: Scorer | None = None, positives: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return what the law tends to as the pool grows, (B, I); for ``positives`` (B,), item 0 if None."""
        positives = np.zeros_like(users) if positives is None else positives
        ahead = score_all(users, self._n_items, scorer) - required(scorer)(users, positives[:, None])
        return self._weights(ahead, self.law.probabilities(users))

    def _weights(self, ahead: NDArray[np.floating], mass: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (B, C) shares of candidates that are ``ahead`` of the positive, each of weight ``mass``."""
        z = np.where(mass > 0, np.logaddexp(0.0, ahead), 0.0)
        share = mass / np.maximum(mass.sum(axis=1, keepdims=True), 1e-300)
        mean = (share * z).sum(axis=1, keepdims=True)
        spread = np.sqrt((share * (z - mean) ** 2).sum(axis=1, keepdims=True) / (2 * self.rho))
        with np.errstate(divide="ignore"):
            return softmax(z / np.maximum(spread, 1e-12) + np.log(share))
