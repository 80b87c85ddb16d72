"""A scorer of two tables that gives a new user a vector in the way of the encoder that made the tables."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from multimargin.encoders.base import Similarity
from multimargin.encoders.fold_in import FoldIn
from multimargin.encoders.graph_row import GraphRow
from multimargin.encoders.pooling import Pooling
from multimargin.encoders.sequence_reader import SequenceReader
from multimargin.recommend.scorer import require_history
from multimargin.recommend.table_scorer import TableScorer
from multimargin.recommend.top_k import normalised

FOLD_INS: dict[str, type[FoldIn]] = {each.kind: each for each in (Pooling, GraphRow, SequenceReader)}
_PREFIX = "fold_in."  # of arrays in a saved model


class FoldInScorer(TableScorer):
    """Ranks by vectors; ``fold_in`` makes one of a history.

    Args:
        user_table: (U, D) user vectors.
        item_table: (I, D) item vectors.
        similarity: "cosine" or "dot".
        by: what makes a vector of a history.
        unit: user vectors have length 1, where cosines were made into dot products.
        candidates: increasing item indices that may be listed; None: all.
    """

    kind = "fold-in"

    def __init__(
        self,
        user_table: Any,
        item_table: Any,
        similarity: Similarity,
        *,
        by: FoldIn,
        unit: bool,
        candidates: NDArray[np.integer[Any]] | None = None,
    ):
        super().__init__(user_table, item_table, similarity, candidates=candidates)
        self.by, self.unit = by, unit

    def fold_in(self, items: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the vector of a user who touched ``items``, in this order."""
        require_history(items)
        vector = self.by.vector(items, self.item_table[items])
        return normalised(vector[None])[0] if self.unit else vector

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return tables and what folds in."""
        return {**super().arrays(), **{_PREFIX + name: each for name, each in self.by.arrays().items()}}

    def settings(self) -> dict[str, Any]:
        """Return similarity and what else folds in."""
        return {**super().settings(), "unit": self.unit, "fold_in": {"kind": self.by.kind, **self.by.settings()}}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Build from ``arrays()`` and ``settings()``."""
        own = {name.removeprefix(_PREFIX): each for name, each in arrays.items() if name.startswith(_PREFIX)}
        by = FOLD_INS[settings["fold_in"]["kind"]].restore(own, settings["fold_in"])
        tables = arrays["user_table"], arrays["item_table"]
        return cls(*tables, settings["similarity"], by=by, unit=settings["unit"])

    def _extra(self) -> dict[str, Any]:
        return {"by": self.by, "unit": self.unit}
