"""The whole catalogue."""

import numpy as np
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.negatives.seen import seen_of
from multimargin.negatives.uniform import UniformNegatives
from multimargin.rng import CounterRng


class AllNegatives(NegativeSampler):
    r"""Gives every row all items as negatives, or all that its user has not seen: nothing is drawn.
    Also known as: full, exact or unsampled loss, non-sampling learning.

    .. math:: \frac1N \sum_{n=1}^N f(s_{bn}) \to \frac1I \sum_{j} f(s_{uj}) \quad\text{or}\quad
              \frac1{I - |S_u|} \sum_{j \notin S_u} f(s_{uj})

    The mean over negatives is then its own expectation under ``UniformNegatives``, the limit of large N, so weights
    that suit many uniform negatives stay as they are. ``n_negatives`` plays no part (a recipe may say null). Batches
    hold whole users (``by_user``): about ``batch_size`` interactions, all of each user's, who share one dropout. With
    tables and a sum over pairs (MML, CCL, MSE, BCE) the engine "grouped" then scores a user once for all their
    interactions; any other loss is trained step by step, with B x I scores of one batch in memory.

    Use:
        interactions alone: a catalogue small enough to score whole, and no sampling noise.
    Args:
        exclude_seen: leave out, exactly, the items the user has in the training data, the positive among them.

    Returns:
        Negatives: ``sample`` gives ``index`` (I,), every item once, with ``exclude_seen`` a ``mask`` (B, I), and no
        ``log_q``.
    Raises:
        NoNegativesError: with ``exclude_seen``, a user has seen every item.
        ArgumentError: used before ``build``, or a user index is outside of the training data.
    Source:
        Hu, Koren, Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets" (all pairs, squares); Chen et
        al. 2020, "Efficient Neural Matrix Factorization without Sampling", ACM TOIS 38(2). For margin losses: none.
    Differs:
        from both, whose losses are squares and have closed sums: pairs are scored.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [0, 1], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(3))
        >>> sampler = AllNegatives(exclude_seen=True)
        >>> sampler.build(train)
        >>> given = sampler.sample(np.array([0, 1]), np.array([0, 2]), 1, rng=CounterRng(key=7))
        >>> given.index.tolist(), given.mask.tolist()
        ([0, 1, 2], [[False, False, True], [True, True, False]])
    """

    draws = False
    by_user = True
    shared = True

    def __init__(self, *, exclude_seen: bool = False):
        self.exclude_seen = exclude_seen
        self._law = UniformNegatives(exclude_seen=exclude_seen)

    def build(self, train: Interactions) -> None:
        """Take the catalogue and who has seen what."""
        self._law.build(train)
        self._items = np.arange(train.n_items)

    def sample(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],  # noqa: ARG002 - nothing depends on them
        n: int,  # noqa: ARG002
        *,
        rng: CounterRng,  # noqa: ARG002
    ) -> Negatives:
        """Give all items to every row; ``positives``, ``n`` and ``rng`` play no part."""
        self.require_unseen(users)
        mask = ~seen_of(users, self._items, *self._law.excluded()) if self.exclude_seen else None
        return Negatives(self._items, mask=mask)

    def probabilities(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the weight of each item in the mean, (B, I): equal where it counts, 0 elsewhere."""
        return self._law.probabilities(users)

    def require_unseen(self, users: NDArray[np.int64]) -> None:
        """Raise unless every user index exists and, with ``exclude_seen``, has an item left."""
        self._law.require_unseen(users)
