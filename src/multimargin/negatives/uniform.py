"""Every item is equally likely."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.errors import ArgumentError
from multimargin.kernels.uniform_draws import uniform_draws
from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.negatives.seen import has_seen, nothing_left, require_users
from multimargin.rng import CounterRng


class UniformNegatives(NegativeSampler):
    r"""Draws every item, or every item the user has not seen, with the same probability, with replacement.
    Also known as: random negative sampling.

    .. math:: q(j \mid u) = 1 / I \quad\text{or}\quad [j \notin S_u] \, / \, (I - |S_u|)

    :math:`S_u` are the user's items in the training data. A draw depends on its place in the stream alone, not on the
    batch size or the number of threads, and nothing is rejected: each costs one random number and, with
    ``exclude_seen``, one binary search.

    Use:
        interactions alone: nothing but interactions; the default.
    Args:
        exclude_seen: leave out the items the user has in the training data. The published settings of MML, CCL and BSL
            do not, so that false is the default.

    Returns:
        Negatives: ``sample`` gives ``index`` (B, N) int64; no ``log_q``, which is the same for all draws of a row, and
        no ``mask``.
    Raises:
        NoNegativesError: with ``exclude_seen``, a user has seen every item.
        ArgumentError: drawn from before ``build``, or a user index is outside of the training data.
    Source:
        Rendle et al. 2009, arXiv 1205.2618, section 5 (unseen); Mao et al. 2021, arXiv 2109.12613, RecZoo @88fae23
        (all items).
    Differs:
        from RecZoo: drawn afresh for each batch rather than once per epoch.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [0, 1], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(3))
        >>> sampler = UniformNegatives(exclude_seen=True)
        >>> sampler.build(train)
        >>> sampler.sample(np.array([0, 1]), np.array([0, 2]), 4, rng=CounterRng(key=7)).index[0].tolist()
        [2, 2, 2, 2]
    """

    def __init__(self, *, exclude_seen: bool = False):
        self.exclude_seen = exclude_seen
        self._train: Interactions | None = None

    def build(self, train: Interactions) -> None:
        """Take the catalogue and who has seen what."""
        checks.positive_int("number of items", train.n_items)
        self._train = train
        self._all_seen = train.user_counts >= train.n_items  # (U,)

    def sample(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],  # noqa: ARG002 - the law does not depend on them
        n: int,
        *,
        rng: CounterRng,
    ) -> Negatives:
        """Draw ``n`` items for each row; arguments as in ``NegativeSampler.sample``, ``positives`` unused."""
        self.require_unseen(users)
        indptr, indices = self.excluded()
        return Negatives(
            uniform_draws(
                users, n, key=rng.key, offset=rng.offset, n_items=self._built.n_items, indptr=indptr, indices=indices
            )
        )

    def probabilities(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the law, (B, I): equal where a draw can fall, 0 elsewhere."""
        self.require_unseen(users)
        possible = np.ones((len(users), self._built.n_items))  # (B, I)
        if self.exclude_seen:
            for row, user in enumerate(users):
                possible[row, self._built.items_of(int(user))] = 0.0
        possible /= possible.sum(axis=1, keepdims=True)
        return possible

    def chances(self, users: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of each of ``index`` (B, N)."""
        if not self.exclude_seen:
            return np.full(index.shape, 1 / self._built.n_items)
        left = self._built.n_items - self._built.user_counts[users]  # (B,)
        return ~has_seen(users, index, self._built) / left[:, None]

    def excluded(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the items never drawn for each user, as ``kernels.uniform_draws`` takes them: (indptr, indices)."""
        if self.exclude_seen:
            return self._built.indptr, self._built.indices
        return np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int32)

    def require_unseen(self, users: NDArray[np.int64]) -> None:
        """Raise unless every user index exists and, with ``exclude_seen``, has an item left to draw."""
        require_users(users, self._built)
        if self.exclude_seen and self._all_seen[users].any():
            user = int(users[self._all_seen[users]][0])
            nothing_left(user, self._built, f"all {self._built.n_items} items seen")

    @property
    def _built(self) -> Interactions:
        if self._train is None:
            raise ArgumentError("UniformNegatives must be built before it draws. Call build(train) first.")
        return self._train
