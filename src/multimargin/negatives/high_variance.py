"""Of what the model prefers, the candidate that is near the positive and whose score has been moving."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Negatives, NegativeSampler, Scorer
from multimargin.negatives.candidates import candidate_law, draw_by_weight, law_of_ranks, required, score_all, softmax
from multimargin.negatives.past import PastTables
from multimargin.negatives.user_memory import UserMemory
from multimargin.rng import CounterRng


class HighVarianceNegatives(NegativeSampler):
    r"""Takes of a user's remembered candidates the best by nearness to the positive and by spread over past epochs.
    Also known as: SRNS, simplified and robustified negative sampling.

    .. math:: j^* = \arg\max_{j \in M} P_t(j) + \alpha \min(1, t / T_0) \, \mathrm{std}_{t' = t-4 \ldots t} P_{t'}(j),
              \; P_t(j) = \sigma(s_{uj} - s_{ui}), \; M \sim e^{s_{uj} / \tau} \text{ of } M_u \cup \text{fresh}

    t is the epoch, :math:`T_0` ``warmup``. False negatives score high in every epoch; true ones move. The pool is what
    is remembered of the user and ``pool_size`` fresh draws; a negative is the best of ``memory_size`` of it; then as
    many are remembered. Costs six scorings of the pool per row, and five epochs' tables, in checkpoints too.

    Use:
        hard: hard negatives of which many are false.
    Args:
        alpha: weight of the spread, 0 or more.
        warmup: epochs until it has all its weight, 1 or more.
        temperature: tau, above 0.
        memory_size: candidates remembered of each user, 1 or more.
        pool_size: fresh draws per row, at least ``memory_size``.
        law: what is drawn fresh. None: uniform, without the user's seen items.

    Returns:
        Negatives: ``sample`` gives ``index`` (B, N); no ``log_q``, since being hard is its purpose.
    Raises:
        NoNegativesError: as the law.
        ArgumentError: an argument is out of its range; the law cannot be drawn from, or masks.
    Source:
        Ding et al. 2020, arXiv 2009.03376 (SRNS); dingjingtao/SRNS @40703a9 (our defaults are its MovieLens-1M's).
    Differs:
        from the code: any N, each the best of some of the pool, drawn with replacement; there, the best of the memory,
        refreshed afterwards, without replacement as here. It starts empty. Spreads are of any item.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(9))
        >>> sampler = HighVarianceNegatives(memory_size=3, pool_size=4)
        >>> sampler.build(train)
        >>> by_index = lambda users, items: np.broadcast_to(items, (len(users), items.shape[-1])).astype(np.float32)
        >>> sampler.sample(np.array([1]), np.array([2]), 4, rng=CounterRng(key=7), scorer=by_index).index.tolist()
        [[8, 5, 8, 5]]
    """

    needs = frozenset({"scores", "tables"})
    remembers = True
    law_is_limit = True

    def __init__(
        self,
        alpha: float = 5.0,
        *,
        warmup: int = 50,
        temperature: float = 10.0,
        memory_size: int = 8,
        pool_size: int = 64,
        law: NegativeSampler | None = None,
    ):
        self.alpha = checks.not_negative("alpha", alpha)
        self.warmup = checks.positive_int("warmup", warmup)
        self.temperature = checks.positive("temperature", temperature)
        self.memory_size = checks.positive_int("memory_size", memory_size)
        self.pool_size = checks.at_least("pool_size", pool_size, self.memory_size)
        self.law = candidate_law(law)

    def build(self, train: Interactions) -> None:
        """Build the law; nothing is remembered."""
        self.law.build(train)
        self._n_items, self._epoch = train.n_items, 0
        self._memory, self._past = UserMemory(train.n_users, self.memory_size), PastTables()

    def start_epoch(
        self,
        epoch: int,
        *,
        rng: CounterRng,  # noqa: ARG002
        user_vectors: NDArray[np.float32] | None = None,
        item_vectors: NDArray[np.float32] | None = None,
    ) -> None:
        """Keep the tables as they are now, from the second epoch on."""
        self._epoch = epoch
        if self.alpha and epoch and user_vectors is not None and item_vectors is not None:
            self._past.keep(user_vectors, item_vectors)

    def sample(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],
        n: int,
        *,
        rng: CounterRng,
        scorer: Scorer | None = None,
    ) -> Negatives:
        """Draw ``n`` for each row and refresh the memory; arguments as in ``NegativeSampler.sample``."""
        drawn = self.law.sample(users, positives, self.pool_size, rng=rng)
        if drawn.mask is not None:
            checks.fail("law", "not mask what it draws", type(self.law).__name__)
        size, (pool, free) = self.memory_size, self._memory.with_fresh(users, drawn.index)  # (B, C)
        scores = required(scorer)(users, pool)
        logits = np.where(free, np.float32(-np.inf), scores / self.temperature)
        columns = draw_by_weight(softmax(logits), checks.positive_int("n", n) * size, rng.branch("pick"))  # (B, N size)
        ahead = scores - required(scorer)(users, positives[:, None])
        quality = np.take_along_axis(self._quality(users, positives, pool, ahead), columns, axis=1)
        best = quality.reshape(len(users), n, size).argmax(axis=2) + size * np.arange(n)  # of each one's candidates
        self._memory.refresh(users, pool, logits, rng.branch("memory"))
        return Negatives(np.take_along_axis(pool, np.take_along_axis(columns, best, axis=1), axis=1))

    def probabilities(
        self, users: NDArray[np.int64], *, scorer: Scorer | None = None, positives: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return what the law tends to as the pool grows, (B, I); for ``positives`` (B,), item 0 if None."""
        positives = np.zeros_like(users) if positives is None else positives
        scores = score_all(users, self._n_items, scorer)
        ahead = scores - required(scorer)(users, positives[:, None])
        every = np.broadcast_to(np.arange(self._n_items), scores.shape)
        weights = self.law.probabilities(users) * softmax(scores / self.temperature)
        weights /= weights.sum(axis=1, keepdims=True)
        return law_of_ranks(weights, self._quality(users, positives, every, ahead), self.memory_size, range(1))

    def state(self) -> Mapping[str, NDArray[Any]]:
        """Return what is remembered of each user (-1: nothing yet), and the past tables."""
        return {"memory": self._memory.items, **self._past.state()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take it back."""
        self._memory.items = state["memory"].copy()
        self._past.load_state(dict(state))

    def _quality(
        self, users: NDArray[np.int64], positives: NDArray[np.int64], index: NDArray[np.int64], ahead: NDArray[Any]
    ) -> NDArray[np.float64]:
        weight = self.alpha * min(1.0, self._epoch / self.warmup)
        near: NDArray[np.float64] = expit(ahead.astype(np.float64))  # (B, C)
        return near + weight * self._past.spread(users, positives, index) if weight else near
