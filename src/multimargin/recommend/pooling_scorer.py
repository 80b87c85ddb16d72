"""A scorer of two tables that gives a new user the vector that SimpleX gives a known one."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from multimargin.encoders.base import Similarity
from multimargin.encoders.pooling import Pooling
from multimargin.recommend.scorer import require_history
from multimargin.recommend.table_scorer import TableScorer
from multimargin.recommend.top_k import normalised


class PoolingScorer(TableScorer):
    """Ranks by vectors; ``fold_in`` pools a history.

    Args:
        user_table: (U, D) user vectors.
        item_table: (I, D) item vectors.
        similarity: "cosine" or "dot".
        pooling: of histories.
        unit: user vectors have length 1, where cosines were made into dot products.
        candidates: increasing item indices that may be listed; None: all.
    """

    kind = "pooling"

    def __init__(
        self,
        user_table: Any,
        item_table: Any,
        similarity: Similarity,
        *,
        pooling: Pooling,
        unit: bool,
        candidates: NDArray[np.integer[Any]] | None = None,
    ):
        super().__init__(user_table, item_table, similarity, candidates=candidates)
        self.pooling, self.unit = pooling, unit

    def fold_in(self, items: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the vector of a user who touched ``items``."""
        require_history(items)
        vector = self.pooling.vector(items)
        return normalised(vector[None])[0] if self.unit else vector

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return tables and what pools."""
        return {**super().arrays(), **self.pooling.arrays()}

    def settings(self) -> dict[str, Any]:
        """Return similarity and what else pools."""
        return {**super().settings(), **self.pooling.settings(), "unit": self.unit}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Build from ``arrays()`` and ``settings()``."""
        pooling = Pooling.restore(arrays, settings)
        tables = arrays["user_table"], arrays["item_table"]
        return cls(*tables, settings["similarity"], pooling=pooling, unit=settings["unit"])

    def _extra(self) -> dict[str, Any]:
        return {"pooling": self.pooling, "unit": self.unit}
