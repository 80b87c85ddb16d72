"""A model as its user meets it: a scorer, two vocabularies, what everybody has seen."""

from collections.abc import Iterable, Iterator, Mapping
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
from multimargin.recommend.scorer import Scorer
from multimargin.recommend.table_scorer import TableScorer
from multimargin.recommend.top_k import SeenItems

Ids = Any  # one id, a sequence or a polars Series of them

_BLOCK = 16_384  # users whose lists are held at a time


class Recommender:
    """Answers questions by outside ids: lists for known users, for new ones, and who or what is alike.

    This constructor takes two tables; ``Recommender.of`` takes any scorer.

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
        self._hold(TableScorer(user_table, item_table, similarity), seen, info)

    @classmethod
    def of(cls, scorer: Scorer, *, seen: Interactions, info: Mapping[str, Any] | None = None) -> "Recommender":
        """Return a recommender that ranks by ``scorer``.

        Raises:
            ArgumentError: the scorer does not fit ``seen``.
        """
        made = cls.__new__(cls)
        made._hold(scorer, seen, info)
        return made

    def _hold(self, scorer: Scorer, seen: Interactions, info: Mapping[str, Any] | None) -> None:
        names = ("user_table", "item_table") if isinstance(scorer, TableScorer) else ("users", "items")
        sizes = (scorer.n_users, seen.n_users), (scorer.n_items, seen.n_items)
        for name, (found, expected) in zip(names, sizes, strict=True):
            if found != expected:
                checks.fail(name, f"have {expected} rows, one for each id", found)
        self.scorer, self.seen, self.info = scorer, seen, dict(info or {})

    def __repr__(self) -> str:
        users, items = f"{len(self.users):,} users", f"{len(self.items):,} items"
        if not isinstance(self.scorer, TableScorer):
            return f"Recommender({users}, {items}, {self.scorer.kind})"
        return f"Recommender({users}, {items}, D = {self.item_table.shape[1]}, {self.similarity})"

    @property
    def user_table(self) -> NDArray[np.float32]:
        """(U, D) user vectors, not normalised; ArgumentError where the model has none."""
        return self.scorer.tables()[0]

    @property
    def item_table(self) -> NDArray[np.float32]:
        """(I, D) item vectors, not normalised; ArgumentError where the model has none."""
        return self.scorer.tables()[1]

    @property
    def similarity(self) -> Similarity:
        """How two vectors become a score: "cosine" or "dot"; ArgumentError where the model has none."""
        self.scorer.tables()
        similarity: Similarity = self.scorer.settings()["similarity"]
        return similarity

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
        scorer = self._among(items)

        def frames() -> Iterator[pl.DataFrame]:
            for start in range(0, max(len(known), 1), _BLOCK):
                part = known[start : start + _BLOCK]
                seen = SeenItems(self.seen.indptr, self.seen.indices, part) if exclude_seen else None
                index, score = scorer.rank_users(part, k, seen=seen)
                yield _frame(("user_id", self.users, part), ("item_id", self.items), index, score)

        return frames()

    def recommend_for(self, history: Any, k: int = 10, *, exclude_seen: bool = True, items: Ids = None) -> pl.DataFrame:
        """Return the ``k`` best items for a user who was not in training.

        Args:
            history: what they touched, the latest last where order counts (SASRec): item ids, or a frame with a column
                item_id, and one of timestamp to be ordered by.
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
        distinct = np.unique(touched).astype(np.int32)
        seen = SeenItems(np.array([0, len(distinct)]), distinct) if exclude_seen else None
        index, score = self._among(items).rank_history(touched, k, seen=seen)
        return _frame(None, ("item_id", self.items), index, score)

    def fold_in(self, history: Any) -> NDArray[np.float32]:
        """Return a vector (D,) for a user who was not in training, made as its encoder would.

        Args:
            history: what they touched, the latest last where order counts (SASRec): item ids, or a frame with a column
                item_id, and one of timestamp to be ordered by.

        Raises:
            UnknownIdError: an item was not in training.
            ArgumentError: ``history`` is empty, or the model has no vectors.
        """
        return self.scorer.fold_in(self._history(history))

    def similar_items(self, items: Ids, k: int = 10) -> pl.DataFrame:
        """Return the ``k`` items most like each of ``items``, itself left out.

        With vectors those with the highest cosine; else those for which a history of this item alone speaks most, and a
        list is shorter where it says nothing of more.

        Returns:
            Frame of item_id, similar_item_id, score (float32) and rank (from 1).

        Raises:
            UnknownIdError: an item was not in training.
            ArgumentError: ``k`` is below 1 or not below the number of items, or the model does not compare items.
        """
        known = self._find(self.items, items)
        k = self._list_length(k, len(self.items) - 1, "others")
        index, score = self.scorer.similar_items(known, k)
        return _frame(("item_id", self.items, known), ("similar_item_id", self.items), index, score)

    def similar_users(self, users: Ids, k: int = 10) -> pl.DataFrame:
        """Return the ``k`` users whose vectors, or else histories, have the highest cosine with each of ``users``.

        They themselves are left out, and so is, without vectors, who has nothing in common.

        Returns:
            Frame of user_id, similar_user_id, score (float32, the cosine) and rank (from 1).

        Raises:
            UnknownIdError: a user was not in training.
            ArgumentError: ``k`` is below 1 or not below the number of users.
        """
        known = self._find(self.users, users)
        k = self._list_length(k, len(self.users) - 1, "others")
        index, score = self.scorer.similar_users(known, k)
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

    def _among(self, items: Ids) -> Scorer:
        """Return what ranks these items alone, or all of them."""
        return self.scorer if items is None else self.scorer.among(np.unique(self._find(self.items, items)))

    def _history(self, history: Any) -> NDArray[np.int64]:
        if hasattr(history, "columns"):
            import narwhals as nw

            frame = nw.from_native(history, eager_only=True)
            if "item_id" not in frame.columns:
                checks.fail("history", "have a column item_id", list(frame.columns))
            if "timestamp" in frame.columns:
                frame = frame.sort("timestamp", "item_id")  # as histories in training are ordered
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
