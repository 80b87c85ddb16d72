"""A scorer of the two tables that alternating least squares ends with: a new user is solved for, as known ones were."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from multimargin.recommend.scorer import require_history
from multimargin.recommend.table_scorer import TableScorer


class AlternatingScorer(TableScorer):
    r"""Dot products of two tables; ``fold_in`` minimises what training minimised, with the item vectors fixed.

    .. math:: u = \Bigl( V^\top V + \alpha' \sum_{i \in H} v_i v_i^\top + \lambda I \Bigr)^{-1}
              \alpha \sum_{i \in H} v_i, \qquad \alpha' = \alpha - 1

    Args:
        user_table: (U, D) user vectors.
        item_table: (I, D) item vectors.
        regularization: λ, 0 or more.
        confidence: α, the weight of an interaction where all else has weight 1.
        candidates: increasing item indices that may be listed; None: all.
    """

    kind = "als"

    def __init__(
        self,
        user_table: Any,
        item_table: Any,
        similarity: str = "dot",
        *,
        regularization: float,
        confidence: float,
        candidates: NDArray[np.integer[Any]] | None = None,
    ):
        super().__init__(user_table, item_table, similarity, candidates=candidates)  # type: ignore[arg-type]
        self.regularization, self.confidence = regularization, confidence

    def fold_in(self, items: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the least-squares vector of a user who touched ``items``; a repeated item counts once."""
        require_history(items)
        vectors = self.item_table[np.unique(items)].astype(np.float64)  # (n, D)
        matrix = self._gram + (self.confidence - 1) * vectors.T @ vectors
        matrix += self.regularization * np.eye(matrix.shape[0])
        solved: NDArray[np.float32] = np.linalg.solve(matrix, self.confidence * vectors.sum(0)).astype(np.float32)
        return solved

    def settings(self) -> dict[str, Any]:
        """Return similarity and what was minimised."""
        return {**super().settings(), **self._extra()}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Build from ``arrays()`` and ``settings()``."""
        names = ("similarity", "regularization", "confidence")
        return cls(arrays["user_table"], arrays["item_table"], **{name: settings[name] for name in names})

    def _extra(self) -> dict[str, Any]:
        return {"regularization": self.regularization, "confidence": self.confidence}

    @cached_property
    def _gram(self) -> NDArray[np.float64]:
        table = self.item_table.astype(np.float64)
        return table.T @ table
