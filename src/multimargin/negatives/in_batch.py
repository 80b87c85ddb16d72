"""The other rows' positives are each row's negatives."""

import numpy as np
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions
from multimargin.errors import ArgumentError
from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.negatives.seen import seen_of
from multimargin.negatives.uniform import UniformNegatives
from multimargin.rng import CounterRng


class InBatchNegatives(NegativeSampler):
    r"""Gives every row the positives of the whole batch, and masks what would be an accidental hit.
    Also known as: in-batch softmax, batch negatives, batch softmax, cross-example negatives.

    .. math:: q(j) = c_j / n \qquad\text{of which } j \ne i \;\text{ or }\; j \notin S_u \text{ count}

    :math:`c_j` counts item j's interactions, n is their number, i the row's own positive, :math:`S_u` the user's items
    in the training data. Negatives cost no draws and no rows of their own: scores are one product of the batch's users
    and items. They follow popularity: use a loss that corrects by ``log_q`` where that is not wanted. N is the batch
    size.

    Use:
        interactions alone: an encoder that is dear to run, and large batches.
    Args:
        exclude_seen: mask every item the user has in the training data; else only the row's own positive, wherever it
            stands in the batch.

    Returns:
        Negatives: ``sample`` gives ``index`` (B,), the positives, ``mask`` (B, B), and ``log_q`` (B,). A row whose
        batch holds nothing else has no negatives in this step.
    Raises:
        NoNegativesError: with ``exclude_seen``, a user has seen every item.
        ArgumentError: used before ``build``, or a user index is outside of the training data.
    Source:
        Hidasi et al. 2016, arXiv 1511.06939, section 3.1 (GRU4Rec); Yi et al. 2019, "Sampling-bias-corrected neural
        modeling for large corpus item recommendations", RecSys (correction by log q).
    Differs:
        from wujcan/SSM-TensorFlow @661767c, where accidental hits stay in; from Yi et al., who estimate q in a stream:
        here it is counted.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [0, 1], [1, 1], [2, 1]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(3), Vocabulary.range(3))
        >>> sampler = InBatchNegatives()
        >>> sampler.build(train)
        >>> given = sampler.sample(np.array([0, 1, 2]), np.array([0, 1, 1]), 1, rng=CounterRng(key=7))
        >>> given.index.tolist(), given.mask.tolist()
        ([0, 1, 1], [[False, True, True], [True, False, False], [True, False, False]])
    """

    draws = False
    shared = True

    def __init__(self, *, exclude_seen: bool = False):
        self.exclude_seen = exclude_seen
        self._unseen = UniformNegatives(exclude_seen=exclude_seen)
        self._train: Interactions | None = None

    def build(self, train: Interactions) -> None:
        """Take counts and who has seen what."""
        self._train = train
        self._unseen.build(train)
        with np.errstate(divide="ignore"):
            self._log_q = (np.log(train.item_counts) - np.log(max(len(train), 1))).astype(np.float32)  # (I,)

    def sample(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],
        n: int,  # noqa: ARG002 - as many as there are
        *,
        rng: CounterRng,  # noqa: ARG002
    ) -> Negatives:
        """Give the batch's positives to every row; ``n`` and ``rng`` play no part."""
        return self.against(users, positives, positives)

    def against(self, users: NDArray[np.int64], positives: NDArray[np.int64], items: NDArray[np.int64]) -> Negatives:
        """Give ``items`` (N,), drawn as positives are, to every row."""
        train = self._built
        self._unseen.require_unseen(users)
        mask = positives[:, None] != items  # (B, N)
        if self.exclude_seen:
            mask &= ~seen_of(users, items, train.indptr, train.indices)
        return Negatives(items, self._log_q[items], mask)

    def probabilities(
        self, users: NDArray[np.int64], *, positives: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return the law of what counts, (B, I), where the batch is large; for ``positives`` (B,), if given."""
        train = self._built
        law = (self._unseen.probabilities(users) > 0) * (train.item_counts / len(train))  # (B, I)
        if positives is not None:
            law[np.arange(len(users)), positives] = 0.0
        total = law.sum(axis=1, keepdims=True)
        return law / np.where(total > 0, total, 1.0)  # of a user with nothing left to meet, zeros

    def chances(
        self,
        users: NDArray[np.int64],  # noqa: ARG002 - the same for all
        index: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Return the probability of each of ``index`` (B, N) at a place of the batch, counted or not."""
        result: NDArray[np.float64] = self._built.item_counts[index] / len(self._built)
        return result

    @property
    def _built(self) -> Interactions:
        if self._train is None:
            raise ArgumentError("InBatchNegatives must be built before it is used. Call build(train) first.")
        return self._train
