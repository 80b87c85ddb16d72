"""Synthetic negatives that lie between the positive and a hard negative."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Blend, Negatives, NegativeSampler, Scorer
from multimargin.negatives.candidates import uniforms
from multimargin.negatives.dynamic import DynamicNegatives
from multimargin.ranges import Range, searched
from multimargin.rng import CounterRng


class PositiveMixNegatives(NegativeSampler):
    r"""Mixes the positive into the hardest of some candidates, which makes it harder still.
    Also known as: MixGCF's positive mixing and hop mixing with one hop; ESANS's hard interpolation.

    .. math:: e' = a \, e_i + (1 - a) \, e_{j^*}, \quad j^* = \arg\max_{j \in P} s_{uj}, \quad a \sim U(low, high)

    Scores are linear in the item's vector, so :math:`s' = a \, s_{ui} + (1 - a) \, s_{uj^*}`, and of the mixtures with
    one a the highest is that of the highest candidate. No vector is made; gradients reach the positive, too. For the
    cosine, vectors of length 1 are mixed, and the mixture is not normalised again. Cost: as ``DynamicNegatives``.

    Use:
        made: a graph or table encoder, and negatives harder than any item.
    Args:
        pool_size: candidates per negative, 1 or more; published: 16 to 64.
        low: least share of the positive.
        high: largest share, at least ``low``.
        law: what candidates are drawn from. None: uniform, without the user's seen items.

    Returns:
        Negatives: ``sample`` gives ``index`` (B, N), the hard ones, and a ``blend``; a ``mask`` where the law has one.
    Raises:
        NoNegativesError: as the law.
        ArgumentError: ``low`` is above ``high``; the law cannot be drawn from.
    Source:
        Huang et al. 2021, "MixGCF", KDD; huangtinglin/MixGCF @e659f4a. ESANS: arXiv 2502.16077 (shares reported from
        -0.5 to 1.5).
    Differs:
        from MixGCF: one hop, that of the tables (with MF there is no other), a drawn for each negative.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(4))
        >>> sampler = PositiveMixNegatives(5)
        >>> sampler.build(train)
        >>> by_index = lambda users, items: np.broadcast_to(items, (len(users), items.shape[-1])).astype(np.float32)
        >>> drawn = sampler.sample(np.array([1]), np.array([2]), 2, rng=CounterRng(key=7), scorer=by_index)
        >>> drawn.index.tolist(), drawn.blend.columns.tolist(), drawn.blend.weights.sum(axis=2).tolist()
        ([[3, 1]], [[[0, 1], [0, 2]]], [[1.0, 1.0]])
    """

    needs = frozenset({"scores"})
    blends = True
    ranges = searched(pool_size=Range(4, 128, log=True))

    def __init__(self, pool_size: int = 32, *, low: float = 0.0, high: float = 1.0, law: NegativeSampler | None = None):
        self._hard = DynamicNegatives(pool_size, law=law)
        self.low, self.high = checks.finite("low", low), checks.finite("high", high)
        if self.low > self.high:
            checks.fail("low", f"be at most high={self.high}", low)

    def build(self, train: Interactions) -> None:
        """Build the candidates' law."""
        self._hard.build(train)

    def sample(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],
        n: int,
        *,
        rng: CounterRng,
        scorer: Scorer | None = None,
    ) -> Negatives:
        """Mix ``n`` hard negatives for each row; arguments as in ``NegativeSampler.sample``."""
        found = self._hard.sample(users, positives, n, rng=rng, scorer=scorer)
        shape = found.index.shape
        share = self.low + (self.high - self.low) * uniforms(len(users), n, rng.branch("mix"))  # (B, N)
        own = np.broadcast_to(np.arange(1, n + 1), shape)
        columns = np.stack([np.zeros(shape, np.int64), own], axis=2)  # (B, N, 2): the positive, the hard one
        weights = np.stack([share, 1 - share], axis=2).astype(np.float32)
        return Negatives(found.index, mask=found.mask, blend=Blend(columns, weights))

    def probabilities(self, users: NDArray[np.int64], *, scorer: Scorer | None = None) -> NDArray[np.float64]:
        """Return the law of the hard ones, (B, I)."""
        return self._hard.probabilities(users, scorer=scorer)
