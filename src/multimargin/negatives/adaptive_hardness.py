"""How hard a negative is depends on how well its positive is learned."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Negatives, NegativeSampler, Scorer
from multimargin.negatives.candidates import candidate_law, law_of_ranks, required, score_all, scored_candidates
from multimargin.ranges import Range, searched
from multimargin.rng import CounterRng

_LEAST = 1e-6  # what the power is taken of is never below it


class AdaptiveHardnessNegatives(NegativeSampler):
    r"""Takes of a pool the candidate whose score is nearest to a level that falls as the positive's score rises.
    Also known as: AHNS, adaptive hardness negative sampling.

    .. math:: j^* = \arg\min_{j \in P} \big| s_{uj} - \beta \, (s_{ui} + \alpha)^{p + 1} \big|

    P are ``pool_size`` draws from ``law``, :math:`s_{ui}` the positive's score, p ``power``. With p = -2 a positive
    that scores low gets hard negatives, one that is learned gets easy ones, which are less likely to be false. A
    negative's law is that of the best of a pool (``DynamicNegatives``) by nearness. Costs ``pool_size`` scorings for
    each negative used.

    Use:
        hard: positives of unequal standing, and fear of false negatives.
    Args:
        alpha: added to the positive's score, so that what the power is taken of is above 0 (at least 1e-6 is).
        beta: height of the level, above 0.
        power: p, below -1: the level falls as the positive rises.
        pool_size: candidates per negative, 1 or more.
        law: what candidates are drawn from. None: uniform, without the user's seen items.

    Returns:
        Negatives: ``sample`` gives ``index`` (B, N), each of a pool of its own; a ``mask`` where the law has one.
    Raises:
        NoNegativesError: as the law.
        ArgumentError: beta is not above 0, ``power`` not below -1; the law cannot be drawn from.
    Source:
        Lai et al. 2024, "Adaptive hardness negative sampling for collaborative filtering", AAAI; Riwei-HEU/AHNS
        @735b0a7 (alpha .1 to 1, beta .1 to .4, pools of 16 and 32, p -2).
    Differs:
        the power is guarded against scores at or below -alpha.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(9))
        >>> sampler = AdaptiveHardnessNegatives(1.0, 12.0)
        >>> sampler.build(train)
        >>> by_index = lambda users, items: np.broadcast_to(items, (len(users), items.shape[-1])).astype(np.float32)
        >>> sampler.sample(np.array([1]), np.array([2]), 6, rng=CounterRng(key=7), scorer=by_index).index.tolist()
        [[4, 4, 4, 4, 4, 4]]
    """

    needs = frozenset({"scores"})
    ranges = searched(alpha=Range(0.1, 2.0), beta=Range(0.01, 1.0, log=True))

    def __init__(
        self,
        alpha: float = 1.0,
        beta: float = 0.1,
        *,
        power: float = -2.0,
        pool_size: int = 32,
        law: NegativeSampler | None = None,
    ):
        self.alpha = checks.finite("alpha", alpha)
        self.beta = checks.positive("beta", beta)
        if checks.finite("power", power) >= -1:
            checks.fail("power", "be below -1", power, "The level would rise with the positive.")
        self.power = float(power)
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
        """Take one of each of ``n`` pools for each row; arguments as in ``NegativeSampler.sample``."""
        size, rows = self.pool_size, len(users)
        index, scores = scored_candidates(self.law, users, positives, checks.positive_int("n", n) * size, rng, scorer)
        far = np.abs(scores - self._level(users, positives, scorer)).reshape(rows, n, size)  # inf where masked
        columns = far.argmin(axis=2) + size * np.arange(n)  # (B, N)
        counts = np.isfinite(np.take_along_axis(scores, columns, axis=1))
        return Negatives(np.take_along_axis(index, columns, axis=1), mask=None if counts.all() else counts)

    def probabilities(
        self, users: NDArray[np.int64], *, scorer: Scorer | None = None, positives: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return the law of a negative, (B, I), for ``positives`` (B,), item 0 if None."""
        level = self._level(users, np.zeros_like(users) if positives is None else positives, scorer)
        near = -np.abs(score_all(users, self._n_items, scorer) - level)
        return law_of_ranks(self.law.probabilities(users), near, self.pool_size, range(1))

    def _level(
        self, users: NDArray[np.int64], positives: NDArray[np.int64], scorer: Scorer | None
    ) -> NDArray[np.float64]:
        own = required(scorer)(users, positives[:, None]).astype(np.float64)
        return self.beta * np.maximum(own + self.alpha, _LEAST) ** (self.power + 1)  # (B, 1)
