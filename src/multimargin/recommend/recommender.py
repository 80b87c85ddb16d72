"""A trained model as its user meets it: two tables, two vocabularies, what everybody has seen."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary
from multimargin.encoders.base import Similarity
from multimargin.errors import UnknownIdError
from multimargin.recommend.fold_in import fold_in
from multimargin.recommend.top_k import Catalogue, SeenItems, as_table, normalised, top_k

Ids = Any  # one id, a sequence or a polars Series of them

_BLOCK = 16_384  # users whose lists are held at a time


class Recommender:
    """Answers questions by outside ids: lists for known users, for new ones, and who or what is alike.

    Args:
        user_table: (U, D) user vectors, array or tensor.
        item_table: (I, D) item vectors.
        similarity: "cosine" (vectors divided by max(norm, 1e-12)) or "dot".
        seen: what each user has seen; carries both vocabularies.
        info: anything JSON can hold that should travel with the model (recipe, versions, data hash, protocol).

    Raises:
        ArgumentError: the tables do not fit ``seen`` or each other, or hold nan or inf.
    """

    def __init__(
        self,
        user_table: Any,
        item_table: Any,
        *,
        similarity: Similarity,
        seen: Interactions,
        info: Mapping[str, Any] | None = None,
    ):
        checks.choice("similarity", similarity, ("cosine", "dot"))
        self.user_table = as_table("user_table", user_table)
        self.item_table = as_table("item_table", item_table)
        for name, table, size in (
            ("user_table", self.user_table, seen.n_users),
            ("item_table", self.item_table, seen.n_items),
        ):
            if len(table) != size:
                checks.fail(name, f"have {size} rows, one for each id", len(table))
        if self.user_table.shape[1] != self.item_table.shape[1]:
            checks.fail(
                "item_table", f"have {self.user_table.shape[1]} columns, as user_table", self.item_table.shape[1]
            )
        self.similarity: Similarity = similarity
        self.seen = seen
        self.info = dict(info or {})

    def __repr__(self) -> str:
        users, items = f"{len(self.users):,} users", f"{len(self.items):,} items"
        return f"Recommender({users}, {items}, D = {self.item_table.shape[1]}, {self.similarity})"

    @property
    def users(self) -> Vocabulary:
        """Outside ids of the users."""
        return self.seen.users

    @property
    def items(self) -> Vocabulary:
        """Outside ids of the items."""
        return self.seen.items

    def recommend(
        self, users: Ids = None, k: int = 10, *, exclude_seen: bool = True, items: Ids = None
    ) -> pl.DataFrame:
        """Return each user's ``k`` best items, best first, ties by the order of the item vocabulary.

        Args:
            users: one id, a sequence of ids (lists come in its order), or None for everybody.
            k: length of the lists, 1 to I. A list is shorter where fewer items remain.
            exclude_seen: leave out what a user has seen.
            items: ids of the only items that may be listed, or None for all.

        Returns:
            Frame of user_id, item_id, score (float32) and rank (from 1).

        Raises:
            UnknownIdError: a user or item was not in training.
            ArgumentError: ``k`` is below 1 or above the number of items.
        """
        return pl.concat(self.recommend_blocks(users, k, exclude_seen=exclude_seen, items=items))

    def recommend_blocks(
        self, users: Ids = None, k: int = 10, *, exclude_seen: bool = True, items: Ids = None
    ) -> Iterator[pl.DataFrame]:
        """Return what ``recommend`` returns as an iterator of frames of some thousand users each, at least one."""
        k = self._list_length(k, len(self.items))
        known = np.arange(len(self.users)) if users is None else self._find(self.users, users)
        catalogue = self._catalogue if items is None else self._catalogue_of(items)

        def frames() -> Iterator[pl.DataFrame]:
            for start in range(0, max(len(known), 1), _BLOCK):
                part = known[start : start + _BLOCK]
                seen = SeenItems(self.seen.indptr, self.seen.indices, part) if exclude_seen else None
                index, score = top_k(self._ready(self.user_table[part]), catalogue, k, seen=seen)
                yield _frame(("user_id", self.users, part), ("item_id", self.items), index, score)

        return frames()

    def recommend_for(self, history: Any, k: int = 10, *, exclude_seen: bool = True, items: Ids = None) -> pl.DataFrame:
        """Return the ``k`` best items for a user who was not in training.

        Args:
            history: what they touched: item ids, or a frame with a column item_id.
            k: length of the list, 1 to I.
            exclude_seen: leave out the history.
            items: ids of the only items that may be listed, or None for all.

        Returns:
            Frame of item_id, score (float32) and rank (from 1).

        Raises:
            UnknownIdError: an item was not in training.
            ArgumentError: ``history`` is empty, or ``k`` is out of range.
        """
        k = self._list_length(k, len(self.items))
        touched = self._history(history)
        vector = self._ready(fold_in(touched, self.item_table, similarity=self.similarity)[None])
        catalogue = self._catalogue if items is None else self._catalogue_of(items)
        distinct = np.unique(touched).astype(np.int32)
        seen = SeenItems(np.array([0, len(distinct)]), distinct) if exclude_seen else None
        index, score = top_k(vector, catalogue, k, seen=seen)
        return _frame(None, ("item_id", self.items), index, score)

    def fold_in(self, history: Any) -> NDArray[np.float32]:
        """Return a vector (D,) for a user who was not in training; see ``recommend.fold_in``.

        Args:
            history: what they touched: item ids, or a frame with a column item_id.

        Raises:
            UnknownIdError: an item was not in training.
            ArgumentError: ``history`` is empty.
        """
        return fold_in(self._history(history), self.item_table, similarity=self.similarity)

    def similar_items(self, items: Ids, k: int = 10) -> pl.DataFrame:
        """Return the ``k`` items whose vectors have the highest cosine with each of ``items``, itself left out.

        Returns:
            Frame of item_id, similar_item_id, score (float32, the cosine) and rank (from 1).

        Raises:
            UnknownIdError: an item was not in training.
            ArgumentError: ``k`` is below 1 or not below the number of items.
        """
        known = self._find(self.items, items)
        index, score = self._similar(known, k, self._directions_of_items)
        return _frame(("item_id", self.items, known), ("similar_item_id", self.items), index, score)

    def similar_users(self, users: Ids, k: int = 10) -> pl.DataFrame:
        """Return the ``k`` users whose vectors have the highest cosine with each of ``users``, themselves left out.

        Returns:
            Frame of user_id, similar_user_id, score (float32, the cosine) and rank (from 1).

        Raises:
            UnknownIdError: a user was not in training.
            ArgumentError: ``k`` is below 1 or not below the number of users.
        """
        known = self._find(self.users, users)
        index, score = self._similar(known, k, self._directions_of_users)
        return _frame(("user_id", self.users, known), ("similar_user_id", self.users), index, score)

    def write_recommendations(
        self, path: str | Path, users: Ids = None, k: int = 10, *, exclude_seen: bool = True, items: Ids = None
    ) -> int:
        """Write what ``recommend`` returns to ``path``, .parquet, .csv or .jsonl, block by block.

        Returns:
            The number of rows written.

        Raises:
            ArgumentError: the suffix is none of these.
            OSError: the file cannot be written; nothing half written is left.
        """
        from multimargin.recommend.export import write_frames

        return write_frames(path, self.recommend_blocks(users, k, exclude_seen=exclude_seen, items=items))

    def save(self, folder: str | Path) -> None:
        """Write the model to ``folder``; a model that is there is replaced in one step. See ``recommend.export``."""
        from multimargin.recommend.export import save

        save(self, folder)

    @classmethod
    def load(cls, folder: str | Path) -> "Recommender":
        """Read a model that ``save`` wrote.

        Raises:
            CheckpointError: the folder holds no model, or a file of it is missing, corrupt or too new.
        """
        from multimargin.recommend.export import load

        return load(folder)

    def export(self, folder: str | Path, *, ids: str = "parquet") -> None:
        """Write vectors as .npy and ids as .parquet or .csv, for an index of your own; see ``recommend.export``."""
        from multimargin.recommend.export import export

        export(self, folder, ids=ids)

    @cached_property
    def _catalogue(self) -> Catalogue:
        return Catalogue(self._ready(self.item_table))

    @cached_property
    def _directions_of_items(self) -> Catalogue:
        return self._catalogue if self.similarity == "cosine" else Catalogue(normalised(self.item_table))

    @cached_property
    def _directions_of_users(self) -> Catalogue:
        return Catalogue(normalised(self.user_table))

    def _catalogue_of(self, items: Ids) -> Catalogue:
        return Catalogue(self._ready(self.item_table), candidates=np.unique(self._find(self.items, items)))

    def _ready(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vectors whose dot products are scores."""
        return normalised(vectors) if self.similarity == "cosine" else vectors

    def _similar(
        self, known: NDArray[np.int64], k: int, catalogue: Catalogue
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        k = self._list_length(k, catalogue.n_items - 1, "others")
        table = self.user_table if catalogue is self.__dict__.get("_directions_of_users") else self.item_table
        itself = SeenItems(np.arange(len(known) + 1), known.astype(np.int32))
        return top_k(normalised(table[known]), catalogue, k, seen=itself)

    def _history(self, history: Any) -> NDArray[np.int64]:
        if hasattr(history, "columns"):
            import narwhals as nw

            frame = nw.from_native(history, eager_only=True)
            if "item_id" not in frame.columns:
                checks.fail("history", "have a column item_id", list(frame.columns))
            history = frame["item_id"].to_list()
        return self._find(self.items, history)

    def _find(self, vocabulary: Vocabulary, ids: Ids) -> NDArray[np.int64]:
        """Return indices of one id or many."""
        one = isinstance(ids, (str, bytes)) or not isinstance(ids, (Iterable, pl.Series))
        try:
            return vocabulary.indices([ids] if one else ids)
        except UnknownIdError as error:
            if vocabulary is not self.users:
                raise
            way_out = "For a user who was not in training use recommend_for(history), which folds them in."
            raise UnknownIdError(f"{error} {way_out}") from None

    @staticmethod
    def _list_length(k: int, available: int, what: str = "items") -> int:
        k = checks.positive_int("k", k)
        if k > available:
            checks.fail("k", f"be at most {available}, the number of {what}", k)
        return k


def _frame(
    left: tuple[str, Vocabulary, NDArray[np.int64]] | None,
    right: tuple[str, Vocabulary],
    index: NDArray[np.int32],
    score: NDArray[np.float32],
) -> pl.DataFrame:
    """Return lists as a frame of outside ids, one row for each place that is filled."""
    filled = index >= 0
    n_filled = filled.sum(1)
    columns: dict[str, Any] = {}
    if left is not None:
        columns[left[0]] = left[1].ids(np.repeat(left[2], n_filled))
    columns[right[0]] = right[1].ids(index[filled])
    columns["score"] = score[filled]
    columns["rank"] = np.broadcast_to(np.arange(1, index.shape[1] + 1, dtype=np.int32), index.shape)[filled]
    return pl.DataFrame(columns)
