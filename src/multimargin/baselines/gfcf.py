"""Graph filters without training: neighbours of neighbours, and an ideal low-pass filter."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.baselines.base import Baseline
from multimargin.baselines.spectrum import leading_items
from multimargin.data.interactions import Interactions
from multimargin.kernels.filtered_scores import Filter
from multimargin.ranges import Range, searched
from multimargin.recommend.filter_scorer import FilterScorer
from multimargin.recommend.history_scorer import Histories
from multimargin.recommend.scorer import Scorer


class GFCF(Baseline):
    r"""Items two steps away in the graph, and what of the history varies slowly over it.  Also known as: GF-CF.

    .. math:: s = \tilde X^\top \tilde X\, x + \alpha\, D_i^{1/2} V V^\top D_i^{-1/2}\, x, \qquad
              \tilde X = D_u^{-1/2} X D_i^{-1/2}

    with V the right singular vectors of the largest singular values. Nothing is trained, nothing is items x items.

    Use:
        without training: no time to train, histories that change.
    Args:
        low_pass: α, weight of the second part, 0 or more.
        rank: singular vectors in it, 1 or more, at most the smaller number of users and items.

    Relations:
        ChebyCF with the polynomial 1, 0 at the ends (K = 1), except where the degrees stand.
    Source:
        Shen et al., CIKM 2021, arXiv 2108.07567; code yshenaw/GF_CF @14a461e: α = .3, rank 256 on Gowalla (Recall@20
        .1849, NDCG@20 .1518) and on Yelp2018 (.0697 / .0571); no second part on Amazon-Book.
    Differs:
        singular vectors by a block Krylov method (there Lanczos): the last few may be others.
    Example:
        >>> GFCF(rank=128).low_pass
        0.3
    """

    ranges = searched(low_pass=Range(0.0, 1.0))

    def __init__(self, *, low_pass: float = 0.3, rank: int = 256):
        self.low_pass = checks.not_negative("low_pass", low_pass)
        self.rank = checks.positive_int("rank", rank)

    def build(self, train: Interactions, *, rng: np.random.Generator) -> Scorer:
        """Find the singular vectors."""
        ones = np.ones(train.n_items, dtype=np.float32)
        left, right = low_pass(train, self.rank, weight=self.low_pass, power=0.5, rng=rng)
        linear = np.array([0.5, -0.5], dtype=np.float32)  # (1 - z) / 2 at z = 1 - 2a is a
        return FilterScorer(Histories.of(train), Filter(linear, ones, ones, left, right))


def low_pass(
    train: Interactions, rank: int, *, weight: float, power: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return L and R, (I, r) each: ``weight`` times an ideal low-pass filter between degrees to powers ± ``power``."""
    if weight == 0:
        nothing = np.empty((train.n_items, 0), dtype=np.float32)
        return nothing, nothing
    vectors = leading_items(train, min(rank, train.n_users, train.n_items), rng=rng)
    scale = degrees(train, power)
    return vectors * (weight * degrees(train, -power))[:, None].astype(np.float32), vectors * scale[:, None]


def degrees(train: Interactions, power: float) -> NDArray[np.float32]:
    """Return items' counts to a power; 0 where there are none."""
    counts = train.item_counts
    return np.where(counts > 0, np.maximum(counts, 1.0) ** power, 0).astype(np.float32)
