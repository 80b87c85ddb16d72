"""Outside ids <-> inside indices; nobody ever sees the wrong one."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin.errors import DataError, UnknownIdError

_BLOCK = 1 << 20  # ids that are Python's at a time


class Vocabulary:
    """An immutable list of distinct outside ids; an id's position is its inside index.

    Args:
        ids: distinct ids, all text or all integers (a polars Series, or any sequence).
        kind: what the ids name, "user" or "item"; used in messages.
    """

    def __init__(self, ids: pl.Series | Sequence[object], *, kind: str = "id"):
        series = ids.rechunk() if isinstance(ids, pl.Series) else pl.Series(kind, ids)
        if len(series) == 0:
            series = series.cast(pl.Int64)
        if series.dtype.is_integer() and series.dtype != pl.UInt64:
            series = series.cast(pl.Int64)
        elif series.dtype in (pl.Categorical, pl.Enum):
            series = series.cast(pl.String)
        if series.dtype not in (pl.Int64, pl.UInt64, pl.String):
            raise DataError(f"{kind} ids must be text or integers; got {series.dtype}. Convert the column first.")
        if series.null_count():
            raise DataError(f"{kind} ids must not be missing; {series.null_count()} are. Drop those rows first.")
        if series.n_unique() != len(series):
            raise DataError(f"{kind} ids must be distinct; got {len(series) - series.n_unique()} repeats.")
        self.kind = kind
        self._ids = series.alias(kind)

    @classmethod
    def range(cls, n: int, *, kind: str = "id") -> "Vocabulary":
        """Return the vocabulary 0, 1, ..., n - 1, whose ids are their own indices."""
        return cls(pl.Series(kind, np.arange(n, dtype=np.int64)), kind=kind)

    def extended(self, ids: pl.Series) -> "Vocabulary":
        """Return this vocabulary with those of ``ids`` that it lacks behind, in their order."""
        lacking = ids.filter(pl.Series(self.find(ids) < 0)).unique(maintain_order=True)
        if not len(lacking):
            return self
        try:
            typed = lacking.cast(self._ids.dtype)
        except pl.exceptions.PolarsError:
            raise DataError(
                f"{self.kind} ids must be {self._ids.dtype} as the others; got {ids.dtype}. Convert the column."
            ) from None
        return Vocabulary(pl.concat([self._ids, typed.alias(self.kind)]), kind=self.kind)

    def __len__(self) -> int:
        return len(self._ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and (self is other or self._ids.equals(other._ids))

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self):,} {self.kind}s: {self._ids.head(3).to_list()}...)"

    @property
    def series(self) -> pl.Series:
        """All ids in index order."""
        return self._ids

    def ids(self, indices: NDArray[np.integer]) -> pl.Series:
        """Return the outside ids at ``indices``, any shape flattened."""
        return self._ids.gather(pl.Series(np.asarray(indices, dtype=np.int64).ravel()))

    def find(self, ids: Iterable[object] | pl.Series) -> NDArray[np.int64]:
        """Return the index of each id, -1 where it is unknown. Text that spells an integer finds an integer id."""
        wanted = ids if isinstance(ids, pl.Series) else pl.Series("wanted", list(ids), strict=False)
        if wanted.dtype != self._ids.dtype:
            as_text = wanted.cast(pl.String, strict=False)
            wanted = as_text.cast(self._ids.dtype, strict=False)
            # "007" is not the integer id 7: it must come back as it went in
            same = (wanted.cast(pl.String) == as_text).fill_null(value=False)
            wanted = pl.select(pl.when(same).then(wanted).otherwise(None)).to_series()
        left = pl.DataFrame({"id": wanted})
        found = left.join(self._lookup, on="id", how="left", maintain_order="left")["index"]
        return found.fill_null(-1).to_numpy().astype(np.int64)

    def indices(self, ids: Iterable[object] | pl.Series) -> NDArray[np.int64]:
        """Return the index of each id.

        Raises:
            UnknownIdError: an id is not in the vocabulary; the message names the first few.
        """
        wanted = ids if isinstance(ids, pl.Series) else pl.Series("wanted", list(ids), strict=False)
        found = self.find(wanted)
        if (found < 0).any():
            unknown = wanted.filter(pl.Series(found < 0)).to_list()
            shown = ", ".join(repr(each) for each in unknown[:3])
            raise UnknownIdError(
                f"{self.kind} ids must be in the training data; {len(unknown)} "
                f"{'is' if len(unknown) == 1 else 'are'} not: {shown}{', ...' if len(unknown) > 3 else ''}."
            )
        return found

    @cached_property
    def _lookup(self) -> pl.DataFrame:
        return pl.DataFrame({"id": self._ids, "index": np.arange(len(self), dtype=np.int64)})

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the ids in order."""
        digest = hashlib.sha256(str(self._ids.dtype).encode())
        if self._ids.dtype == pl.String:
            digest.update(self._ids.str.len_bytes().to_numpy().tobytes())
            for start in range(0, len(self), _BLOCK):
                digest.update("".join(self._ids[start : start + _BLOCK].to_list()).encode())
        else:
            digest.update(np.ascontiguousarray(self._ids.to_numpy()).data)
        return digest.hexdigest()
