"""A column of ids as it is held between file and vocabulary: 4 bytes for each row, and each block's distinct ids."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class _Block:
    """Some rows of a column.

    Args:
        distinct: their distinct ids, integers or text.
        codes: (n,) int32, which of them each row has.
        was_text: ``distinct`` are integers that came as text, each spelled as an integer is.
    """

    distinct: pl.Series
    codes: NDArray[np.int32]
    was_text: bool


@dataclass
class Ids:
    """Ids block by block, in the order of the rows.

    Args:
        typed: the source says whether an id is text or a number; else text becomes integers where all of it is spelled
            as integers are.
    """

    typed: bool = False
    blocks: list[_Block] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(block.codes) for block in self.blocks)

    def add(self, column: pl.Series) -> None:
        """Append a block of text or integers without nulls."""
        as_integers = None
        if column.dtype == pl.String and not self.typed:
            as_integers = _as_integers(column)
        distinct, codes = _coded(column if as_integers is None else as_integers)
        self.blocks.append(_Block(distinct, codes, as_integers is not None))


def as_ids(column: pl.Series | Ids, *, typed: bool) -> Ids:
    """Return ``column`` in this form."""
    if isinstance(column, Ids):
        return column
    made = Ids(typed)
    made.add(column)
    return made


def index_ids(columns: Sequence[Ids], kind: str) -> tuple[Vocabulary, list[NDArray[np.int32]]]:
    """Return the vocabulary of all columns, its ids increasing, and each column as indices into it.

    Ids are text as soon as one of them is, unless all text is spelled as integers are and no source said that it is
    text.
    """
    blocks = [block for column in columns for block in column.blocks]
    dtype: Any = pl.UInt64 if any(block.distinct.dtype == pl.UInt64 for block in blocks) else pl.Int64
    if any(block.was_text for block in blocks):
        dtype = pl.Int64
    if any(block.distinct.dtype == pl.String for block in blocks):
        dtype = pl.String
    distinct = pl.concat([block.distinct.cast(dtype).alias(kind) for block in blocks]).unique().sort()
    vocabulary = Vocabulary(distinct, kind=kind)
    indices = []
    for column in columns:
        index = np.empty(len(column), dtype=np.int32)
        start = 0
        for block in column.blocks:
            places = vocabulary.find(block.distinct.cast(dtype)).astype(np.int32)
            np.take(places, block.codes, out=index[start : start + len(block.codes)])
            start += len(block.codes)
        indices.append(index)
    return vocabulary, indices


def _as_integers(texts: pl.Series) -> pl.Series | None:
    """Return ``texts`` as integers if each of them is spelled as an integer is: "7", not "007"."""
    numbers = texts.cast(pl.Int64, strict=False)
    if numbers.null_count() or not (numbers.cast(pl.String) == texts).all():
        return None
    return numbers


def _coded(column: pl.Series) -> tuple[pl.Series, NDArray[np.int32]]:
    """Return the distinct ids of ``column``, and which of them each row has."""
    if column.dtype != pl.String and len(column):
        low, high = column.min(), column.max()
        assert isinstance(low, int)
        assert isinstance(high, int)
        if high - low < 4 * len(column):  # close together: counted rather than hashed
            places = (column.to_numpy() - low).astype(np.int32)
            there = np.zeros(high - low + 1, dtype=np.bool_)
            there[places] = True
            codes = (np.cumsum(there, dtype=np.int32) - np.int32(1))[places]
            return pl.Series(np.flatnonzero(there)).cast(column.dtype) + low, codes
    distinct = column.unique()
    numbered = pl.DataFrame({"id": distinct, "code": np.arange(len(distinct), dtype=np.int32)})
    left = pl.DataFrame({"id": column})
    found = left.join(numbered, on="id", how="left", maintain_order="left")["code"]
    return distinct, found.to_numpy().astype(np.int32, copy=False)
