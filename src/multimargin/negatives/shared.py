"""One set of draws for all rows of a batch."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.negatives.seen import seen_of
from multimargin.negatives.uniform import UniformNegatives
from multimargin.rng import CounterRng


class SharedNegatives(NegativeSampler):
    r"""Draws one pool of items per batch, with replacement, and gives it to every row.
    Also known as: joint negatives, shared or batched negative sampling.

    .. math:: q(j) = p(j) \quad\text{or, of the draws that count for } u, \quad
              [j \notin S_u] \, p(j) \, / \sum_{i \notin S_u} p(i)

    :math:`p` is the law drawn from, uniform (:math:`1 / I`) if not said otherwise.
    Scores are then one product of B queries and N items instead of B N rows looked up one by one: several times faster,
    with the same expected gradient as draws for each row. A batch sees N different items instead of up to B N, so its
    gradient varies more: take N large, and batches not too large. Adam moves an item that is pushed hard in one step of
    I / N less than one that is pushed a little in each, so the same settings train another model. With replacement, so
    that N may be any number and a mean over the pool has the mean under the law as its expectation; on large catalogues
    few draws repeat. The pool depends on the place of the batch in the stream alone, so other batch sizes are other
    pools. It costs next to nothing, with ``exclude_seen`` a lookup per interaction of the batch's users.

    Use:
        interactions alone: thousands of negatives, one pool for the whole batch.
    Args:
        law: what the pool is drawn from; it must be the same for all users. None: uniform over the catalogue.
        exclude_seen: leave out, by ``mask``, of each row the draws that its user has in the training data. A row in
            which none is left has no negatives in this step.

    Returns:
        Negatives: ``sample`` gives ``index`` (N,) int64, with ``exclude_seen`` a ``mask`` (B, N), and ``log_q`` (N,)
        where the law has one: of a draw, before seen ones are left out.
    Raises:
        NoNegativesError: with ``exclude_seen``, a user has seen every item.
        ArgumentError: the law is not one of draws, the same for all users; drawn from before ``build``; a user index is
            outside of the training data.
    Source:
        Ji et al. 2016, arXiv 1604.04661, section 3.2 (pWord2Vec: shared by the words of a window); Lerer et al. 2019,
        arXiv 1903.12287, section 4.3 (PyTorch-BigGraph); Zheng et al. 2020, arXiv 2004.08532, section 3.3 (DGL-KE).
        From popularity: wujcan/SSM-TensorFlow @661767c, mode 1.
    Differs:
        from all: one pool for the whole batch, and the other rows' positives are not added to it
        (``MixedNegatives`` with ``InBatchNegatives`` does that).
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [0, 1], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(3))
        >>> sampler = SharedNegatives(exclude_seen=True)
        >>> sampler.build(train)
        >>> drawn = sampler.sample(np.array([0, 1]), np.array([0, 2]), 4, rng=CounterRng(key=7))
        >>> drawn.index.tolist()
        [1, 0, 2, 1]
        >>> drawn.mask.tolist()
        [[False, False, True, False], [True, True, False, True]]
    """

    shared = True

    def __init__(self, law: NegativeSampler | None = None, *, exclude_seen: bool = False):
        self.law = UniformNegatives() if law is None else law
        self.exclude_seen = exclude_seen
        self._unseen = UniformNegatives(exclude_seen=exclude_seen)
        given = self.law
        if given.needs or given.shared or given.blends or given.remembers or not given.draws:
            checks.fail("law", "draw items row by row, by counts alone", type(given).__name__)
        if getattr(given, "exclude_seen", False):
            checks.fail("law", "be the same for all users", "exclude_seen", "Set exclude_seen of SharedNegatives.")

    def build(self, train: Interactions) -> None:
        """Take the catalogue and who has seen what."""
        self.law.build(train)
        self._unseen.build(train)

    def sample(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],  # noqa: ARG002 - the law does not depend on them
        n: int,
        *,
        rng: CounterRng,
    ) -> Negatives:
        """Draw ``n`` items for the batch; arguments as in ``NegativeSampler.sample``, ``positives`` unused."""
        self.require_unseen(users)
        nobody = np.zeros(1, dtype=np.int64)
        row = self.law.sample(nobody, nobody, n, rng=rng)
        mask = ~seen_of(users, row.index[0], *self._unseen.excluded()) if self.exclude_seen else None
        return Negatives(row.index[0], None if row.log_q is None else row.log_q[0], mask)

    def require_unseen(self, users: NDArray[np.int64]) -> None:
        """Raise unless every user index exists and, with ``exclude_seen``, some draw can count for each."""
        self._unseen.require_unseen(users)

    def probabilities(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the law of the draws that count, (B, I): that of the pool where one can fall, 0 elsewhere."""
        law = self.law.probabilities(users) * (self._unseen.probabilities(users) > 0)
        law /= law.sum(axis=1, keepdims=True)
        return law

    def chances(self, users: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Return the probability of each of ``index`` (B, N) in a draw, counted or not."""
        return self.law.chances(users, index)
