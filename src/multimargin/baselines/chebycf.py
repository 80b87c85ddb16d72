"""A graph filter of any shape without training, by Chebyshev interpolation."""

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.baselines.base import Baseline
from multimargin.baselines.gfcf import degrees, low_pass
from multimargin.data.interactions import Interactions
from multimargin.kernels.filtered_scores import Filter
from multimargin.ranges import Range, searched
from multimargin.recommend.filter_scorer import FilterScorer
from multimargin.recommend.history_scorer import Histories
from multimargin.recommend.scorer import Scorer


class ChebyCF(Baseline):
    r"""A polynomial of the graph with a plateau between high and low frequencies, and an ideal low-pass filter.

    Also known as: Chebyshev graph filter, graph spectral filtering with Chebyshev interpolation.

    .. math:: s = D_i^{\beta} \Bigl( \sum_{k=0}^{K} c_k T_k(2L - I) + \alpha V V^\top \Bigr) D_i^{-\beta}\, x, \qquad
              L = I - \tilde X^\top \tilde X

    The c_k interpolate, at Chebyshev's nodes, the response h(z) = (1 - sign(z) |z|^φ) / 2 on [-1, 1], which falls from
    1 (lowest frequency) to 0 with a plateau at 1/2, the flatter the larger φ. Nothing is trained.

    Use:
        without training: as gf-cf, and a minute for the better lists.
    Args:
        order: K, 1 or more.
        flatness: φ, above 0.
        rank: η, singular vectors of the ideal filter, 1 or more, at most the smaller number of users and items.
        low_pass: α, its weight, 0 or more.
        power: β, of the degrees, 0 or more: the larger, the more popular items rank.

    Relations:
        GFCF with K = 1, φ = 1 and power .5, except that there the degrees stand around the second part only.
    Source:
        Kim, Sung, Han, Lee, SIGIR 2025, arXiv 2505.00552; code chanwoo0806/ChebyCF @6961667: these defaults on Gowalla,
        Recall@20 .1941, NDCG@20 .1616.
    Differs:
        as in that code, h is taken at cos(π (K - k) / K) and set at the nodes cos(π (K + 1/2 - k) / (K + 1)), which are
        near but not the same; there both are rounded to three decimals. Singular vectors by a block Krylov method.
    Example:
        >>> ChebyCF(order=4).flatness
        1.5
    """

    ranges = searched(flatness=Range(0.5, 3.0), low_pass=Range(0.0, 1.0), power=Range(0.0, 1.0))

    def __init__(
        self, *, order: int = 8, flatness: float = 1.5, rank: int = 512, low_pass: float = 0.2, power: float = 0.4
    ):
        self.order = checks.positive_int("order", order)
        self.flatness = checks.positive("flatness", flatness)
        self.rank = checks.positive_int("rank", rank)
        self.low_pass = checks.not_negative("low_pass", low_pass)
        self.power = checks.not_negative("power", power)

    def build(self, train: Interactions, *, rng: np.random.Generator) -> Scorer:
        """Find the singular vectors."""
        left, right = low_pass(train, self.rank, weight=self.low_pass, power=self.power, rng=rng)
        factors = Filter(
            coefficients(self.order, self.flatness),
            degrees(train, -self.power),
            degrees(train, self.power),
            left,
            right,
        )
        return FilterScorer(Histories.of(train), factors)


def coefficients(order: int, flatness: float) -> NDArray[np.float32]:
    """Return c (K+1,) in Chebyshev's basis; see ``ChebyCF``."""
    k = np.arange(order + 1)
    z = np.round(np.cos(np.pi * (order - k) / order), 12)  # increasing from -1 to 1; the middle is 0
    response = (1 - np.sign(z) * np.abs(z) ** flatness) / 2
    angles = np.pi * (order + 0.5 - k) / (order + 1)
    found: NDArray[np.float64] = 2 / (order + 1) * np.cos(np.outer(k, angles)) @ response  # T_k(cos t) = cos(k t)
    found[0] /= 2
    return found.astype(np.float32)
