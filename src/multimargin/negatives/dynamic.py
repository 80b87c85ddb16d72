"""The best of some candidates, as the model scores them now."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Negatives, NegativeSampler, Scorer
from multimargin.negatives.candidates import candidate_law, law_of_ranks, score_all, scored_candidates
from multimargin.ranges import Range, searched
from multimargin.rng import CounterRng


class DynamicNegatives(NegativeSampler):
    r"""Draws pools of candidates and takes those that the model scores highest.
    Also known as: DNS, dynamic negative sampling; DNS(M,N); max sampling, hard negative mining.

    .. math:: q(j \mid u) = \frac1M \sum_{r=1}^{M} \big( F_r(a_j) - F_r(a_j + p_j) \big), \qquad
              F_r(a) = \sum_{k < r} \binom{C}{k} a^k (1-a)^{C-k}

    C is ``pool_size``, M ``top``, :math:`p_j` the law of a candidate, :math:`a_j` the mass of the items scored above j:
    j is the r-th best if fewer than r candidates lie above it, and not so with j's own counted in. Each row's N
    negatives are the M best of N / M pools. The larger M, the longer the list whose quality is optimised. The law of
    what is chosen is not told (``log_q``): being hard is its purpose. Costs C / M scorings without gradient for each
    negative that is used, which is most of a step's time; a ``law`` that is shared by the batch makes them one product
    of matrices.

    Use:
        hard: BPR or another pairwise loss that has run out of hard negatives.
    Args:
        pool_size: C, candidates per pool, 1 or more: 1 is the law itself.
        top: M, how many of a pool are taken, at most ``pool_size``; N must be a multiple. 1 is DNS, N is DNS(M,N).
        law: what candidates are drawn from. None: uniform, without the user's seen items.

    Returns:
        Negatives: ``sample`` gives ``index`` (B, N), of each pool the best first; a ``mask`` where the law has one.
    Raises:
        NoNegativesError: as the law.
        ArgumentError: ``top`` is above ``pool_size`` or does not divide N; the law cannot be drawn from.
    Source:
        Zhang et al. 2013, "Optimizing top-N collaborative filtering via dynamic negative item sampling", SIGIR; Shi et
        al. 2023, "On the theories behind hard negative sampling for recommendation", WWW (swt-user/WWW_2023_code
        @dd00aad, C 200).
    Differs:
        from the WWW'23 code, which sums over M where our losses take means, and draws candidates from all items
        (``law=UniformNegatives()``).
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(4))
        >>> sampler = DynamicNegatives(5)
        >>> sampler.build(train)
        >>> by_index = lambda users, items: np.broadcast_to(items, (len(users), items.shape[-1])).astype(np.float32)
        >>> sampler.sample(np.array([1]), np.array([2]), 6, rng=CounterRng(key=7), scorer=by_index).index.tolist()
        [[3, 1, 3, 3, 3, 3]]
    """

    needs = frozenset({"scores"})
    ranges = searched(pool_size=Range(4, 256, log=True))

    def __init__(self, pool_size: int = 32, top: int = 1, *, law: NegativeSampler | None = None):
        self.pool_size = checks.positive_int("pool_size", pool_size)
        self.top = checks.positive_int("top", top)
        if self.top > self.pool_size:
            checks.fail("top", f"be at most pool_size={self.pool_size}", top)
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
        """Take the best of ``n / top`` pools for each row; arguments as in ``NegativeSampler.sample``."""
        if checks.positive_int("n", n) % self.top:
            checks.fail("n_negatives", f"be a multiple of top={self.top}", n)
        pools, size, rows = n // self.top, self.pool_size, len(users)
        index, scores = scored_candidates(self.law, users, positives, pools * size, rng, scorer)
        by_pool = scores.reshape(rows, pools, size)
        if self.top == 1:
            best = by_pool.argmax(axis=2)[..., None]  # (B, pools, 1)
        else:
            best = np.argpartition(-by_pool, self.top - 1, axis=2)[..., : self.top]
            order = np.argsort(-np.take_along_axis(by_pool, best, axis=2), axis=2, kind="stable")
            best = np.take_along_axis(best, order, axis=2)  # (B, pools, top)
        columns = (best + size * np.arange(pools)[:, None]).reshape(rows, n)
        chosen = np.take_along_axis(scores, columns, axis=1)
        mask = None if np.isfinite(chosen).all() else np.isfinite(chosen)
        return Negatives(np.take_along_axis(index, columns, axis=1), mask=mask)

    def probabilities(self, users: NDArray[np.int64], *, scorer: Scorer | None = None) -> NDArray[np.float64]:
        """Return the law of a negative, (B, I), where no two items have one score."""
        law, scores = self.law.probabilities(users), score_all(users, self._n_items, scorer)
        return law_of_ranks(law, scores, self.pool_size, range(self.top))
