"""A scorer of two tables: a score is the cosine or the dot product of a user's and an item's vector."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.encoders.base import Similarity
from multimargin.recommend.fold_in import fold_in
from multimargin.recommend.scorer import Lists, Scorer, themselves
from multimargin.recommend.top_k import Catalogue, SeenItems, as_table, normalised, top_k


class TableScorer(Scorer):
    """Ranks by vectors, in low precision where that is exact; see ``recommend.top_k``.

    Args:
        user_table: (U, D) user vectors, array or tensor.
        item_table: (I, D) item vectors.
        similarity: "cosine" (vectors divided by max(norm, 1e-12)) or "dot".
        candidates: increasing item indices that may be listed; None: all.

    Raises:
        ArgumentError: the tables do not fit each other, or hold nan or inf.
    """

    kind = "tables"

    def __init__(
        self,
        user_table: Any,
        item_table: Any,
        similarity: Similarity,
        *,
        candidates: NDArray[np.integer[Any]] | None = None,
    ):
        checks.choice("similarity", similarity, ("cosine", "dot"))
        self.user_table = as_table("user_table", user_table)
        self.item_table = as_table("item_table", item_table)
        if self.user_table.shape[1] != self.item_table.shape[1]:
            checks.fail(
                "item_table", f"have {self.user_table.shape[1]} columns, as user_table", self.item_table.shape[1]
            )
        self.similarity: Similarity = similarity
        self._candidates = candidates
        super().__init__(len(self.user_table), len(self.item_table))

    def among(self, items: NDArray[np.integer[Any]]) -> Self:
        """Return a scorer that lists none but ``items``."""
        return type(self)(self.user_table, self.item_table, self.similarity, candidates=items, **self._extra())

    def rank_users(
        self, users: NDArray[np.integer[Any]], k: int, *, seen: SeenItems | None = None, threads: int | None = None
    ) -> Lists:
        """Return the ``k`` best items of each user."""
        return top_k(self._ready(self.user_table[users]), self._catalogue, k, seen=seen, threads=threads)

    def rank_history(self, items: NDArray[np.integer[Any]], k: int, *, seen: SeenItems | None = None) -> Lists:
        """Return the ``k`` best items of a user folded in."""
        return top_k(self._ready(self.fold_in(items)[None]), self._catalogue, k, seen=seen)

    def similar_items(self, items: NDArray[np.integer[Any]], k: int) -> Lists:
        """Return the ``k`` items whose vectors have the highest cosine."""
        return top_k(normalised(self.item_table[items]), self._directions_of_items, k, seen=themselves(items))

    def similar_users(self, users: NDArray[np.integer[Any]], k: int) -> Lists:
        """Return the ``k`` users whose vectors have the highest cosine."""
        return top_k(normalised(self.user_table[users]), self._directions_of_users, k, seen=themselves(users))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return both tables."""
        return {"user_table": self.user_table, "item_table": self.item_table}

    def settings(self) -> dict[str, Any]:
        """Return the similarity."""
        return {"similarity": self.similarity}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Build from ``arrays()`` and ``settings()``."""
        return cls(arrays["user_table"], arrays["item_table"], settings["similarity"])

    def tables(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return both tables, not normalised."""
        return self.user_table, self.item_table

    def fold_in(self, items: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the mean of the (for the cosine: normalised) vectors of ``items``; see ``recommend.fold_in``."""
        return fold_in(items, self.item_table, similarity=self.similarity)

    def _extra(self) -> dict[str, Any]:
        """Return what else a constructor of a kind of its own takes."""
        return {}

    @cached_property
    def _catalogue(self) -> Catalogue:
        return Catalogue(self._ready(self.item_table), candidates=self._candidates)

    @cached_property
    def _directions_of_items(self) -> Catalogue:
        if self.similarity == "cosine" and self._candidates is None:
            return self._catalogue
        return Catalogue(normalised(self.item_table))

    @cached_property
    def _directions_of_users(self) -> Catalogue:
        return Catalogue(normalised(self.user_table))

    def _ready(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vectors whose dot products are scores."""
        return normalised(vectors) if self.similarity == "cosine" else vectors
