"""Items in coarse and fine clusters, and draws from the clusters round an item."""

import numpy as np
from numpy.typing import NDArray

from multimargin.negatives.candidates import draw_by_weight, softmax, uniforms
from multimargin.negatives.vectors import cluster
from multimargin.rng import CounterRng


class ItemClusters:
    """Two levels of clusters; the second is of what the centres of the first leave over.

    Args:
        vectors: (I, D).
        coarse: clusters of the first level, and
        fine: of the second; of each at most a quarter of the items.
        hard: share of draws from the item's own coarse cluster, without its fine one.
        temperature: by what distances between coarse centres are divided.
        rng: which items clusters start from.
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        coarse: int,
        fine: int,
        *,
        hard: float,
        temperature: float,
        rng: np.random.Generator,
    ):
        most = max(len(vectors) // 4, 1)
        coarse, fine = min(coarse, most), min(fine, most)
        self.coarse, centres = cluster(vectors, coarse, rng)  # (I,), (A, D)
        self.cell = self.coarse * fine + cluster(vectors - centres[self.coarse], fine, rng)[0]  # (I,)
        self._order = np.argsort(self.cell, kind="stable")  # cell by cell, so coarse cluster by coarse cluster
        self._start = np.searchsorted(self.coarse[self._order], np.arange(coarse))  # (A,)
        self._size = np.bincount(self.coarse, minlength=coarse)
        self._cell_start = np.searchsorted(self.cell[self._order], np.arange(coarse * fine))
        self._cell_size = np.bincount(self.cell, minlength=coarse * fine)
        self._hard = hard
        products = centres.astype(np.float64) @ centres.T.astype(np.float64)  # (A, A)
        squares = np.diag(products)
        far = np.sqrt(np.maximum(squares[:, None] + squares - 2 * products, 0.0))
        possible = (self._size > 0) & ~np.eye(coarse, dtype=bool)
        self._easy = softmax(np.where(possible, -far / temperature, -np.inf)) * possible  # (A, A)

    def draw(self, items: NDArray[np.int64], n: int, rng: CounterRng) -> NDArray[np.int64]:
        """Return (B, n) negatives of ``items`` (B,)."""
        shares, left_out = self._shares(items)
        drawn = draw_by_weight(shares, n, rng.branch("cluster"))  # (B, n)
        left_out = np.where(drawn == self.coarse[items][:, None], left_out[:, None], 0)  # (B, n)
        among = self._size[drawn] - left_out
        place = self._start[drawn] + (uniforms(len(items), n, rng) * among).astype(np.int64)
        place += np.where(place >= self._cell_start[self.cell[items]][:, None], left_out, 0)
        return self._order[place]

    def law(self, items: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (B, I): the probability that a negative of each of ``items`` is each item."""
        shares, left_out = self._shares(items)
        own = self.coarse[items][:, None] == self.coarse  # (B, I)
        among = self._size[self.coarse] - np.where(own, left_out[:, None], 0)
        never = (self.cell[items][:, None] == self.cell) & (left_out > 0)[:, None]
        return np.where(never, 0.0, shares[:, self.coarse] / np.maximum(among, 1))

    def _shares(self, items: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return what each coarse cluster's share is, (B, A), and how many items of the own one are left out, (B,).

        A kind that is empty leaves its share to the other; if both are, all items share one cell, and none is left out.
        """
        own = self.coarse[items]
        alike = self._cell_size[self.cell[items]]
        others, hard = self._easy[own].any(axis=1), self._size[own] > alike
        share = np.where(others & hard, self._hard, np.where(others, 0.0, 1.0))  # (B,)
        shares = (1 - share[:, None]) * self._easy[own]
        shares[np.arange(len(items)), own] = share
        return shares, np.where(others | hard, alike, 0)
