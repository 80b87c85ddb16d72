"""Items are drawn the more often the more often they occur."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.errors import ArgumentError
from multimargin.kernels.weighted_draws import WeightedItems, weighted_draws, weighted_items
from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.negatives.seen import has_seen, nothing_left, require_users
from multimargin.ranges import Range, searched
from multimargin.rng import CounterRng


class PopularityNegatives(NegativeSampler):
    r"""Draws items in proportion to a power of how often they occur in the training data, with replacement.
    Also known as: popularity-biased sampling, PNS, unigram sampling, log-frequency candidates.

    .. math:: q(j \mid u) = \frac{c_j^\beta}{\sum_{i} c_i^\beta} \quad\text{or, with the sum over } i \notin S_u,
              \quad [j \notin S_u] \, \frac{c_j^\beta}{\sum_i c_i^\beta}

    :math:`c_j` counts item j's interactions, :math:`S_u` are the user's items, both in the training data. Popular items
    are harder negatives, and more often false ones. ``log_q`` is exact, so that losses that correct for it estimate
    what uniform draws do. A draw depends on its place in the stream alone; about 15 ns each, 60 with ``exclude_seen``,
    one to a few times the scoring of an item of 64 dimensions.

    Use:
        interactions alone: popular items that shall be pushed down harder, or corrected for by log q.
    Args:
        beta: power, 0 or more: 1 follows the counts, 0.75 is word2vec's, 0 makes all items equal that occur at all.
        exclude_seen: leave out the items the user has in the training data.

    Returns:
        Negatives: ``sample`` gives ``index`` (B, N) int64 and ``log_q`` (B, N); no ``mask``.
    Raises:
        NoNegativesError: with ``exclude_seen``, a user has seen every item that occurs.
        ArgumentError: ``beta`` is below 0; drawn from before ``build``; a user index is outside of the training data.
    Source:
        Mikolov et al. 2013, arXiv 1310.4546, section 2.2 (power 3/4); for recommendation Wu et al. 2024, arXiv
        2201.02327 (wujcan/SSM-TensorFlow @661767c, modes 1 and 2, beta 1).
    Differs:
        weights are rounded to parts in 2**52 of the whole. Items that do not occur are never drawn, for beta = 0 too.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [0, 1], [1, 1], [2, 1]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(3), Vocabulary.range(3))
        >>> sampler = PopularityNegatives(1.0)
        >>> sampler.build(train)
        >>> drawn = sampler.sample(np.array([0]), np.array([0]), 6, rng=CounterRng(key=7))
        >>> drawn.index[0].tolist(), np.exp(drawn.log_q[0, :2]).round(2).tolist()
        ([1, 0, 1, 1, 1, 0], [0.75, 0.25])
    """

    ranges = searched(beta=Range(0.0, 1.0))

    def __init__(self, beta: float = 0.75, *, exclude_seen: bool = False):
        self.beta = checks.not_negative("beta", beta)
        self.exclude_seen = exclude_seen
        self._items: WeightedItems | None = None

    def build(self, train: Interactions) -> None:
        """Take counts and who has seen what."""
        counts = train.item_counts.astype(np.float64)
        if not counts.any():
            checks.fail("training data", "hold interactions", len(train), "There is nothing to draw in proportion to.")
        weights = np.where(counts > 0, counts**self.beta, 0.0)
        seen = (train.indptr, train.indices) if self.exclude_seen else (np.zeros(1, np.int64), np.empty(0, np.int32))
        self._train, self._items = train, weighted_items(weights, *seen)
        with np.errstate(divide="ignore"):
            self._log_weights = np.log(self._items.weights)  # (I,)

    def sample(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],  # noqa: ARG002 - the law does not depend on them
        n: int,
        *,
        rng: CounterRng,
    ) -> Negatives:
        """Draw ``n`` items for each row; arguments as in ``NegativeSampler.sample``, ``positives`` unused."""
        left = self._left(users)
        index = weighted_draws(users, n, key=rng.key, offset=rng.offset, items=self._built)
        log_q = self._log_weights[index] - np.log(left)[:, None]  # never a seen item, so of weight above 0
        return Negatives(index, log_q.astype(np.float32))

    def probabilities(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the law, (B, I)."""
        return self.chances(users, np.tile(np.arange(self._train.n_items), (len(users), 1)))

    def chances(self, users: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of each of ``index`` (B, N)."""
        result: NDArray[np.float64] = self._built.weights[index] / self._left(users)[:, None]
        return np.where(has_seen(users, index, self._train), 0.0, result) if self.exclude_seen else result

    def _left(self, users: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the weight left for each user, (B,); none may be 0."""
        items = self._built
        require_users(users, self._train)
        if not self.exclude_seen:
            return np.broadcast_to(items.left, len(users))
        left = items.left[users]
        if not left.all():
            nothing_left(int(users[left == 0][0]), self._train, "all items that occur seen")
        return left

    @property
    def _built(self) -> WeightedItems:
        if self._items is None:
            raise ArgumentError("PopularityNegatives must be built before it draws. Call build(train) first.")
        return self._items
