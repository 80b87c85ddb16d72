"""The positives of earlier batches are negatives, too."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.negatives.in_batch import InBatchNegatives
from multimargin.rng import CounterRng


class MemoryNegatives(NegativeSampler):
    r"""Gives every row the positives of this batch and of the batches before it, as many as fit into the memory.
    Also known as: cross-batch memory, XBM, cross-batch negatives, CBNS.

    .. math:: q(j) = c_j / n \qquad\text{of which } j \ne i \;\text{ or }\; j \notin S_u \text{ count}

    Letters as in ``InBatchNegatives``, which this is with a longer memory. What is kept are items, not vectors: their
    rows are read afresh, so that nothing is stale and gradients reach them. Scores are one product of the batch's users
    and the memory's items. N is what the memory holds: 8192 items cost fifteen times the epoch of a hundred drawn ones.

    Use:
        interactions alone: the same with small batches.
    Args:
        size: items kept, the latest, 1 or more.
        exclude_seen: mask every item the user has in the training data; else only the row's own positive.

    Returns:
        Negatives: ``sample`` gives ``index`` (N,), the latest first, ``mask`` (B, N), and ``log_q`` (N,).
    Raises:
        NoNegativesError: with ``exclude_seen``, a user has seen every item.
        ArgumentError: ``size`` is below 1; used before ``build``; a user index is outside of the training data.
    Source:
        Wang et al. 2020, arXiv 1912.06798 (XBM); msight-tech/research-xbm @223ecdc (8192); for recommendation Wang,
        Zhu, He 2021, arXiv 2110.15154 (CBNS).
    Differs:
        from both: items whose rows are read again for stored vectors, which are as good only once they change little
        (CBNS warms up with in-batch negatives for that reason); the queue is circular, and no warm-up is needed.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [0, 1], [1, 1], [2, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(3), Vocabulary.range(3))
        >>> sampler = MemoryNegatives(3)
        >>> sampler.build(train)
        >>> rng = CounterRng(key=7)
        >>> [sampler.sample(np.array([u]), np.array([i]), 1, rng=rng).index.tolist() for u, i in pairs.tolist()]
        [[0], [1, 0], [1, 1, 0], [2, 1, 1]]
    """

    draws = False
    shared = True
    remembers = True

    def __init__(self, size: int = 8192, *, exclude_seen: bool = False):
        self.size = checks.positive_int("size", size)
        self.exclude_seen = exclude_seen
        self._batch = InBatchNegatives(exclude_seen=exclude_seen)

    def build(self, train: Interactions) -> None:
        """Take counts and who has seen what; the memory is empty."""
        self._batch.build(train)
        self._kept = np.empty(0, dtype=np.int64)

    def sample(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],
        n: int,  # noqa: ARG002 - as many as are kept
        *,
        rng: CounterRng,  # noqa: ARG002
    ) -> Negatives:
        """Put the batch into the memory and give all of it; ``n`` and ``rng`` play no part."""
        kept = np.concatenate([positives, getattr(self, "_kept", positives[:0])])[: self.size]
        found = self._batch.against(users, positives, kept)
        self._kept = kept
        return found

    def probabilities(
        self, users: NDArray[np.int64], *, positives: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return the law of what counts, (B, I), where the memory is large; for ``positives`` (B,), if given."""
        return self._batch.probabilities(users, positives=positives)

    def chances(self, users: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of each of ``index`` (B, N) at a place of the memory, counted or not."""
        return self._batch.chances(users, index)

    def state(self) -> Mapping[str, NDArray[Any]]:
        """Return the items kept."""
        return {"kept": self._kept}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        self._kept = state["kept"].copy()
