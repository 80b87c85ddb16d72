"""A scorer that filters a history through the graph of all interactions, without a matrix between items."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from multimargin.kernels.filtered_scores import Filter, Graph, filtered_scores
from multimargin.recommend.history_scorer import Histories, HistoryScorer


class FilterScorer(HistoryScorer):
    """Scores are a polynomial of the graph applied to the history, and a part of low rank; see the kernel.

    Args:
        histories: of the known users: the graph.
        factors: what is applied.
    """

    kind = "filter"

    def __init__(self, histories: Histories, factors: Filter):
        n_items = len(factors.before)
        self.factors = factors
        self._graph = Graph.of(histories.indptr, histories.indices, n_items)
        super().__init__(histories, n_items)

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        """Return (n, I) scores."""
        return filtered_scores(histories.indptr, histories.indices, self._graph, self.factors)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return histories and factors."""
        return {**super().arrays(), **vars(self.factors)}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Build from ``arrays()`` and ``settings()``."""
        del settings  # there are none
        factors = Filter(**{name: arrays[name] for name in ("coefficients", "before", "after", "left", "right")})
        return cls(Histories(arrays["history_indptr"], arrays["history_indices"]), factors)
