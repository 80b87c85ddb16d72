"""Negatives that come from a file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.errors import ArgumentError
from multimargin.kernels.draws import below_reference, bits_reference
from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.negatives.candidates import candidate_law
from multimargin.negatives.seen import require_users
from multimargin.rng import CounterRng


class ExternalNegatives(NegativeSampler):
    r"""Draws each user's negatives from a list of pairs that was made elsewhere, with replacement.
    Also known as: externally supplied, mined, generated or explicit negatives (dislikes, a language model's).

    .. math:: q(j \mid u) = [j \in E_u] \, / \, |E_u| \quad\text{or, where } E_u \text{ is empty, the law's}

    :math:`E_u` are user u's items in the file. Blend them with others at a ratio by ``MixedNegatives``, for instance
    ``MixedNegatives((UniformNegatives(), ExternalNegatives("dislikes.csv")), (3, 1))``. One look-up per draw.

    Use:
        from elsewhere: dislikes, impressions without a click, negatives mined or generated elsewhere.
    Args:
        path: a file of pairs, in any format that data is read in (user_id,item_id with a header, Parquet, ...); ids are
            those of the training data. None: there are no lists, and all rows draw from ``law``.
        law: what users without a list draw from; rows of their own. None: uniform, without the user's seen items.

    Returns:
        Negatives: ``sample`` gives ``index`` (B, N); no ``log_q``, no ``mask``.
    Raises:
        DataError: in ``build``, the file is missing or broken.
        UnknownIdError: in ``build``, an id of the file is not in the training data.
        NoNegativesError: as the law.
        ArgumentError: the law cannot be drawn from, is shared or masks; drawn from before ``build``.
    Source:
        SyNeg, arXiv 2412.17250 (generated negatives blended with sampled ones).
    Differs:
        SyNeg has no public code; it is for texts, and here negatives are items of the catalogue.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(4))
        >>> sampler = ExternalNegatives()
        >>> sampler.build(train)
        >>> sampler.probabilities(np.array([1])).round(3).tolist()
        [[0.333, 0.333, 0.0, 0.333]]
    """

    def __init__(self, path: str | Path | None = None, *, law: NegativeSampler | None = None):
        self.path = None if path is None else Path(path)
        self.law = candidate_law(law)
        if self.law.shared:
            checks.fail("law", "give each row its own", type(law).__name__)
        self._train: Interactions | None = None

    def build(self, train: Interactions) -> None:
        """Read the file, find its ids, and build the law."""
        self._train = train
        self.law.build(train)
        users = items = np.empty(0, dtype=np.int64)
        if self.path is not None:
            pairs = Interactions.read(self.path)
            users = train.users.indices(pairs.users.series)[pairs.user_index]
            items = train.items.indices(pairs.items.series)[pairs.indices]
        self._items = items[np.argsort(users, kind="stable")]
        self._bounds = np.concatenate(([0], np.cumsum(np.bincount(users, minlength=train.n_users))))  # (U+1,)

    def sample(self, users: NDArray[np.int64], positives: NDArray[np.int64], n: int, *, rng: CounterRng) -> Negatives:
        """Draw ``n`` items for each row; arguments as in ``NegativeSampler.sample``."""
        listed = self._listed(users)
        index = np.empty((len(users), checks.positive_int("n", n)), dtype=np.int64)
        counters = np.uint64(rng.offset * n) + np.arange(index.size, dtype=np.uint64)
        counts = np.repeat((self._bounds[users + 1] - self._bounds[users]).astype(np.uint64), n)
        place = np.repeat(self._bounds[users], n) + below_reference(bits_reference(rng.key, counters), counts)
        index[listed] = self._items[place.reshape(index.shape)[listed]]
        if not listed.all():
            # all rows draw, so that each keeps its place in the stream
            index[~listed] = self._unlisted(users, positives, n, ~listed, rng.branch("law"))
        return Negatives(index)

    def probabilities(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the law, (B, I)."""
        listed = self._listed(users)
        law = np.zeros((len(users), self._built.n_items))
        law[~listed] = self.law.probabilities(users[~listed])
        for row in np.flatnonzero(listed):
            own = self._items[self._bounds[users[row]] : self._bounds[users[row] + 1]]
            law[row, own] = 1 / len(own)
        return law

    def _unlisted(
        self, users: NDArray[np.int64], positives: NDArray[np.int64], n: int, rows: NDArray[np.bool_], rng: CounterRng
    ) -> NDArray[np.int64]:
        stand_in = int(users[rows][0])  # whoever has a list may have seen everything else
        drawn = self.law.sample(np.where(rows, users, stand_in), positives, n, rng=rng)
        if drawn.mask is not None:
            checks.fail("law", "not mask what it draws", type(self.law).__name__)
        return drawn.index[rows]

    def _listed(self, users: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of ``users`` have a list, (B,)."""
        require_users(users, self._built)
        result: NDArray[np.bool_] = self._bounds[users + 1] > self._bounds[users]
        return result

    @property
    def _built(self) -> Interactions:
        if self._train is None:
            raise ArgumentError("ExternalNegatives must be built before it draws. Call build(train) first.")
        return self._train
