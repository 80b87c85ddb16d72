"""Synthetic negatives that lie among drawn ones."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Blend, Negatives, NegativeSampler
from multimargin.negatives.candidates import candidate_law, uniforms
from multimargin.rng import CounterRng


class InterpolatedNegatives(NegativeSampler):
    r"""Draws a few negatives and fills up with convex mixtures of two, three and more of them.
    Also known as: EDIS, effective dense interpolation strategy, of ESANS.

    .. math:: e'_v = \sum_{k=1}^{K_v} a_{vk} \, e_{j_{vk}}, \quad a_v \sim \mathrm{Dirichlet}(1, \ldots, 1), \quad
              K_v = 2, 2, 3, 3, 3, \ldots

    M real negatives give M + (M + 2)(M - 1) / 2 in all if there are k mixtures of k for k = 2, ..., M; of the sequence
    2, 2, 3, 3, 3, ... as many are made as N leaves room for, and it starts again where N has more. A mixture's members
    are neighbours in the draw from a place at random. Their scores are mixtures of M scores: N costs little beside M.
    For the cosine, vectors of length 1 are mixed, and the mixture is not normalised again.

    Use:
        made: few real negatives, and many wanted at nearly no cost.
    Args:
        n_real: M, drawn negatives, 2 or more; where N is at most M, all are real.
        law: what is drawn from; rows of their own. None: uniform, without the user's seen items.

    Returns:
        Negatives: ``sample`` gives ``index`` (B, M) and a ``blend`` into N, the real ones first.
    Raises:
        NoNegativesError: as the law.
        ArgumentError: ``n_real`` is below 2; the law cannot be drawn from, or is shared or masks.
    Source:
        ESANS, arXiv 2502.16077; equations 11 and 12 of its rebuttal, CraKane/ESANS_results @9c18d15 (M 5).
    Differs:
        no official code: which are mixed, and the law of the weights, are ours; hard interpolation with the positive is
        ``PositiveMixNegatives``.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(9))
        >>> sampler = InterpolatedNegatives(3)
        >>> sampler.build(train)
        >>> drawn = sampler.sample(np.array([1]), np.array([2]), 8, rng=CounterRng(key=7))
        >>> drawn.index.shape, (drawn.blend.weights > 0).sum(axis=2).tolist()
        ((1, 3), [[1, 1, 1, 2, 2, 3, 3, 3]])
    """

    blends = True

    def __init__(self, n_real: int = 5, *, law: NegativeSampler | None = None):
        self.n_real = checks.at_least("n_real", n_real, 2)
        self.law = candidate_law(law)
        if self.law.shared:
            checks.fail("law", "give each row its own", type(law).__name__)

    def build(self, train: Interactions) -> None:
        """Build the law."""
        self.law.build(train)

    def sample(self, users: NDArray[np.int64], positives: NDArray[np.int64], n: int, *, rng: CounterRng) -> Negatives:
        """Make ``n`` negatives for each row; arguments as in ``NegativeSampler.sample``."""
        real = min(checks.positive_int("n", n), self.n_real)
        drawn = self.law.sample(users, positives, real, rng=rng)
        if drawn.mask is not None:
            checks.fail("law", "not mask what it draws", type(self.law).__name__)
        counts = np.repeat(np.arange(2, self.n_real + 1), np.arange(2, self.n_real + 1))  # 2 2 3 3 3 ...
        members = np.concatenate([np.ones(real, np.int64), np.resize(counts, n - real)])  # (N,)
        first, shares = self._random(len(users), n, rng.branch("mix"))
        first[:, :real] = np.arange(real)
        columns = 1 + (first[..., None] + np.arange(real)) % real  # (B, N, M): neighbours, round in a ring
        kept = np.where(np.arange(real) < members[:, None], shares[..., :real], 0.0)
        weights = (kept / kept.sum(axis=2, keepdims=True)).astype(np.float32)
        return Negatives(drawn.index, blend=Blend(columns, weights))

    def probabilities(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the law of what is drawn, (B, I)."""
        return self.law.probabilities(users)

    def _random(self, rows: int, n: int, rng: CounterRng) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return where each mixture's members start, (B, N), and M exponential weights of each, (B, N, M)."""
        drawn = uniforms(rows, n * (self.n_real + 1), rng).reshape(rows, n, self.n_real + 1)
        return (drawn[..., 0] * self.n_real).astype(np.int64), -np.log1p(-drawn[..., 1:]) + 1e-300
