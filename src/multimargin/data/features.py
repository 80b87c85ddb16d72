"""What is known of users or items beside who touched what: columns of a frame become a sparse matrix."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import DataError

_MISSING = "\0missing"  # no text of a file


@dataclass(frozen=True)
class FeatureMatrix:
    """Rows of weighted features, compressed.

    Args:
        indptr: (R+1,) int64; row ``r``'s features are ``columns[indptr[r]:indptr[r+1]]``.
        columns: (n,) int64 in [0, F).
        weights: (n,) float32.
        names: F names, "column=value" or "column".
    """

    indptr: NDArray[np.int64]
    columns: NDArray[np.int64]
    weights: NDArray[np.float32]
    names: tuple[str, ...]


class Features:
    """A frame of features, keyed by an id.

    A column of numbers is one feature each, with mean 0 and standard deviation 1 over the rows that are learnt from; a
    missing number counts as the mean, and where any is missing there is a feature that says so. A column of text or of
    true and false has a feature for each value, "missing" among them where it occurs. A column of lists, or of text
    that holds ``separator``, has several values in a row, each with weight 1 / (how many). A value that no row learnt
    from has is left out.

    Args:
        source: a pandas, polars or Arrow frame, or the path of a .parquet, .csv or .tsv file. One row for each id.
        kind: "user" or "item"; the column of ids is called ``<kind>_id``, ``<kind>`` or ``id``.
        categorical: columns of numbers whose values are names, such as a genre's number; one that is not there is none.
        separator: what stands between the values of a text column with several; None: nothing does.

    Raises:
        DataError: the file cannot be read; it is no frame; no column of ids, or no other column; an id is missing or
            occurs twice; a number is infinite; a column is of another type.
        ArgumentError: it is neither a frame nor a path with such a suffix.
    """

    def __init__(
        self,
        source: Any,
        *,
        kind: Literal["user", "item"],
        categorical: Sequence[str] = (),
        separator: str | None = "|",
    ):
        self.kind = kind
        where, frame = _frame(source, kind)
        names = (f"{kind}_id", kind, "id")
        found = [name for name in names if name in frame.columns]
        if not found:
            raise DataError(
                f"{where} must have a column {' or '.join(names)}; it has {', '.join(frame.columns)}. Rename one."
            )
        self._where, self._separator, self._categorical = where, separator, categorical
        self.ids = frame[found[0]]
        if self.ids.null_count() or self.ids.n_unique() != len(self.ids):
            what = "missing" if self.ids.null_count() else "repeated"
            raise DataError(f"{where} must have one row for each {kind}; an id is {what}. Drop or join those rows.")
        self._frame = frame.drop(found[0])
        if not self._frame.columns:
            raise DataError(
                f"{where} must have a column beside {found[0]}; it has none. Leave it out, or add features."
            )

    @property
    def columns(self) -> list[str]:
        """The columns of features."""
        return self._frame.columns

    def __len__(self) -> int:
        return len(self.ids)

    def rows_of(self, vocabulary: Vocabulary) -> NDArray[np.int64]:
        """Return, for each id of ``vocabulary``, its row, -1 where there is none.

        Raises:
            DataError: no row belongs to any of them.
        """
        place = vocabulary.find(self.ids)
        if not (place >= 0).any():
            shown = ", ".join(map(repr, self.ids.head(3).to_list()))
            raise DataError(
                f"{self._where} must have {self.kind} ids of the interactions; none of {shown}, ... occurs there. "
                "Check that both use the same ids."
            )
        rows = np.full(len(vocabulary), -1, dtype=np.int64)
        rows[place[place >= 0]] = np.flatnonzero(place >= 0)
        return rows

    def beyond(self, vocabulary: Vocabulary) -> tuple[pl.Series, NDArray[np.int64]]:
        """Return the ids that ``vocabulary`` lacks, in its type, and their rows.

        Raises:
            DataError: an id cannot be of that type.
        """
        rows = np.flatnonzero(vocabulary.find(self.ids) < 0)
        try:
            ids = self.ids.gather(pl.Series(rows)).cast(vocabulary.series.dtype, strict=True)
        except pl.exceptions.PolarsError:
            raise DataError(
                f"{self._where} must have {self.kind} ids of the interactions' type, {vocabulary.series.dtype}; "
                f"got {self.ids.dtype}. Convert the column."
            ) from None
        return ids, rows

    def matrix(self, learnt: NDArray[np.bool_]) -> FeatureMatrix:
        """Return the features of every row; values, means and deviations are those of the rows in mask ``learnt``."""
        parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
        names: list[str] = []
        for column in self._frame.columns:
            for rows, values, weights, found in self._of_column(self._frame[column], learnt):
                parts.append((rows, values + len(names), weights))
                names += found
        row, feature, weight = (np.concatenate(each) for each in zip(*parts, strict=True))
        order = np.lexsort((feature, row))
        indptr = np.searchsorted(row[order], np.arange(len(self) + 1))
        return FeatureMatrix(
            indptr.astype(np.int64), feature[order].astype(np.int64), weight[order].astype(np.float32), tuple(names)
        )

    def _of_column(self, column: pl.Series, learnt: NDArray[np.bool_]) -> list[tuple[Any, Any, Any, list[str]]]:
        """Return features of a column: their rows, numbers from 0 on, weights and names."""
        named, dtype = column.name in self._categorical, column.dtype
        if dtype.is_numeric() and not named:
            return self._of_numbers(column, learnt)
        if dtype.is_nested():
            if not isinstance(dtype, (pl.List, pl.Array)):
                self._refuse(column)
            return [_several(column.cast(pl.List(pl.String)), learnt)]
        if not (dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Null) or dtype.is_numeric()):
            self._refuse(column)
        text = column.cast(pl.String)
        if (
            self._separator is not None
            and dtype == pl.String
            and text.str.contains(self._separator, literal=True).any()
        ):
            return [_several(text.str.split(self._separator), learnt)]
        return [_several(text.fill_null(_MISSING).reshape((len(text), 1)).cast(pl.List(pl.String)), learnt)]

    def _of_numbers(self, column: pl.Series, learnt: NDArray[np.bool_]) -> list[tuple[Any, Any, Any, list[str]]]:
        values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        if np.isinf(values).any():
            raise DataError(f"column {column.name} of {self._where} must hold finite numbers; one is infinite.")
        there = ~np.isnan(values)
        known = values[there & learnt]
        mean, deviation = (float(known.mean()), float(known.std())) if len(known) else (0.0, 0.0)
        rows = np.flatnonzero(there)
        scaled = (values[rows] - mean) / (deviation if deviation > 0 else 1.0)
        found = [(rows, np.zeros(len(rows), np.int64), scaled, [column.name])]
        if not there[learnt].all():
            absent = np.flatnonzero(~there)
            found.append((absent, np.zeros(len(absent), np.int64), np.ones(len(absent)), [f"{column.name} missing"]))
        return found

    def _refuse(self, column: pl.Series) -> None:
        raise DataError(
            f"column {column.name} of {self._where} must hold numbers, text, true and false or lists of text; "
            f"got {column.dtype}. Convert or drop it."
        )


def _several(lists: pl.Series, learnt: NDArray[np.bool_]) -> tuple[Any, Any, Any, list[str]]:
    """Return features of a column of lists of text: those that a row in ``learnt`` has."""
    frame = pl.DataFrame({"row": np.arange(len(lists)), "value": lists}).explode("value")
    frame = frame.with_columns(pl.col("value").str.strip_chars(" ")).drop_nulls().filter(pl.col("value") != "").unique()
    of_learnt = frame.filter(pl.Series(learnt[frame["row"].to_numpy()]))
    values = Vocabulary(of_learnt["value"].unique().sort(), kind="value") if len(of_learnt) else None
    if values is None:
        nothing = np.empty(0, np.int64)
        return nothing, nothing, np.empty(0), []
    index, row = values.find(frame["value"]), frame["row"].to_numpy().astype(np.int64)
    row, index = row[index >= 0], index[index >= 0]
    counts = np.bincount(row, minlength=len(lists))
    names = [f"{lists.name}={value}".replace(_MISSING, "missing") for value in values.series.to_list()]
    return row, index, 1 / counts[row], names


def _frame(source: Any, kind: str) -> tuple[str, pl.DataFrame]:
    """Return how to call ``source`` in messages, and its frame."""
    if isinstance(source, (str, Path)):
        path = Path(source)
        readers: dict[str, Callable[[Path], pl.DataFrame]] = {
            ".parquet": pl.read_parquet,
            ".csv": lambda file: pl.read_csv(file, infer_schema_length=None),
            ".tsv": lambda file: pl.read_csv(file, separator="\t", infer_schema_length=None),
        }
        if path.suffix.lower() not in readers:
            checks.choice(f"suffix of {kind}_features", path.suffix.lower(), tuple(readers))
        try:
            return str(path), readers[path.suffix.lower()](path)
        except FileNotFoundError:
            raise DataError(f"{path} must be there and is not. Check {kind}_features.") from None
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from None
    try:
        native = nw.from_native(source, eager_only=True)
    except TypeError:
        rule = "be a pandas, polars or Arrow frame, or a path"
        checks.fail(f"{kind}_features", rule, type(source).__name__)
    found = source if isinstance(source, pl.DataFrame) else pl.from_arrow(native.to_arrow())
    assert isinstance(found, pl.DataFrame)
    return f"{kind}_features", found
