"""Files and frames become ``Interactions``: LightGCN folders, CSV and TSV, MovieLens, RecBole, Parquet, data frames."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from multimargin.data.columns import Cleaner, Column, Table, choose_columns
from multimargin.data.folders import find_log, find_parts
from multimargin.data.ids import as_ids, index_ids
from multimargin.data.interactions import Interactions
from multimargin.data.problems import PlacedError, Report, raise_at_once
from multimargin.data.sources import TextFile, must_exist, read_bytes, split_suffix
from multimargin.data.splits import Split
from multimargin.data.text_tables import read_text_table
from multimargin.data.user_lines import looks_like_user_lines, read_user_lines
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import DataError

PARQUET_SUFFIXES = (".parquet", ".pq")
_ROWS = 1 << 21  # rows of a Parquet file that are held at a time
_PART_STEMS = ("train", "valid", "test")


def read_interactions(
    path: str | Path,
    *,
    user: Column = None,
    item: Column = None,
    timestamp: Column = None,
    weight: Column = None,
    separator: str | None = None,
    header: bool | None = None,
    min_weight: float | None = None,
) -> Interactions:
    """Read one log of interactions from a file or folder.

    Formats, each also as ``.gz`` or ``.zst``: LightGCN's ``user item item ...`` lines; CSV, TSV and other separators,
    with or without header (MovieLens ``u.data`` and ``ratings.dat``, Amazon 2014 and 2018 without a word of help);
    RecBole's ``.inter``; Parquet. A folder of parts (see ``read_parts``) is read whole, its parts joined.

    Ids come back as they stand in the file: text stays text ("007" never becomes 7); ids become integers only if each
    of them is spelled as an integer is. Inside, ids are numbered in increasing order.

    Args:
        path: a file or folder.
        user: the column of users, by name or by position from 0; None: by its usual names (user_id, userId, uid, ...).
        item: the column of items, likewise (item_id, movieId, parent_asin, ...).
        timestamp: the column of times, likewise (timestamp, ts, ...); dates become seconds since 1970 (UTC), numbers
            stay in the unit they are in; False leaves it out.
        weight: the column of weights, likewise (rating, weight, ...); False leaves it out.
        separator: what stands between fields; None: found out.
        header: whether the first line names the columns; None: found out.
        min_weight: keep only interactions whose weight is at least this, e.g. 4 of ratings from 1 to 5.

    Raises:
        DataError: the file is missing, empty or broken; the message names file, line and way out.
    """
    asked = {"user": user, "item": item, "timestamp": timestamp, "weight": weight}
    options: dict[str, Any] = {"separator": separator, "header": header, "min_weight": min_weight}
    path = must_exist(Path(path))
    if path.is_dir():
        parts = find_parts(path)
        if not parts:
            return assemble([read_table(find_log(path), asked, **options)])[0]
        first, *others = assemble(read_part_tables(parts, asked, **options))
        return first.union(others)
    return assemble([read_table(path, asked, **options)])[0]


def read_parts(
    path: str | Path,
    *,
    user: Column = None,
    item: Column = None,
    timestamp: Column = None,
    weight: Column = None,
    separator: str | None = None,
    header: bool | None = None,
    min_weight: float | None = None,
) -> Split:
    """Read data that was split beforehand; all parts share their vocabularies.

    A folder with ``train.*``, ``test.*`` and perhaps ``valid.*`` (LightGCN ``.txt``, CSV, TSV, ``.inter``, Parquet), or
    RecBole's ``name.part1.inter``, ``.part2`` and ``.part3`` (train, valid, test; of two, the second is the test). In
    LightGCN's files ids are indices, so there are as many users and items as the largest of any part, plus one.

    Args:
        path: the folder, or RecBole's ``name.part1.inter``.
        user: this and all the others: see ``read_interactions``.
        item: see there.
        timestamp: see there.
        weight: see there.
        separator: see there.
        header: see there.
        min_weight: see there.

    Raises:
        DataError: there are no parts, or one of them is broken.
    """
    asked = {"user": user, "item": item, "timestamp": timestamp, "weight": weight}
    path = must_exist(Path(path))
    parts = find_parts(path)
    if not parts:
        way_out = "Read one log with Interactions.read and split it, for instance with RandomPerUser()."
        raise PlacedError(
            str(path), "must hold train.* and test.*, or RecBole's name.part1.inter; there is none", way_out
        )
    tables = read_part_tables(parts, asked, separator=separator, header=header, min_weight=min_weight)
    return split_of(parts, assemble(tables))


def read_any(path: str | Path, **options: Any) -> Interactions | Split:
    """Read whatever is at ``path``: a ``Split`` where it holds parts, else one log of ``Interactions``.

    Args:
        path: a file or folder.
        options: see ``read_interactions``.
    """
    return read_parts(path, **options) if find_parts(must_exist(Path(path))) else read_interactions(path, **options)


def from_frame(
    frame: Any,
    *,
    user: Column = None,
    item: Column = None,
    timestamp: Column = None,
    weight: Column = None,
    min_weight: float | None = None,
) -> Interactions:
    """Take a pandas, polars or Arrow frame, or anything else that narwhals knows.

    Args:
        frame: one row per interaction; ids are text or integers and keep their type.
        user: the column of users; None: by its usual names. So are the others; see ``read_interactions``.
        item: see there.
        timestamp: see there; datetimes become seconds since 1970 (UTC).
        weight: see there.
        min_weight: see there.

    Raises:
        DataError: it is no frame, a column is missing, or a row is broken.
    """
    asked = {"user": user, "item": item, "timestamp": timestamp, "weight": weight}
    try:
        native = nw.from_native(frame)
    except TypeError as error:
        raise DataError(
            f"frame must be a pandas, polars or Arrow frame; got {type(frame).__name__}. "
            "Read a file with Interactions.read."
        ) from error
    table = native.collect() if isinstance(native, nw.LazyFrame) else native
    where = f"{type(frame).__module__.partition('.')[0]} frame"
    chosen = choose_columns([str(name) for name in table.columns], asked, where)
    columns = {role: _to_polars(table[:, position]) for role, position in chosen.items()}
    names = {role: str(table.columns[position]) for role, position in chosen.items()}
    n_rows = len(columns["user"])
    size = n_rows if any(columns[role].dtype.is_float() for role in ("user", "item")) else _ROWS  # as of Parquet
    blocks = (
        {role: column[start : start + size] for role, column in columns.items()}
        for start in range(0, max(n_rows, 1), max(size, 1))
    )
    return assemble([_typed_table(blocks, names, where, min_weight, raise_at_once)])[0]


def read_table(
    path: Path,
    asked: Mapping[str, Column],
    *,
    separator: str | None = None,
    header: bool | None = None,
    min_weight: float | None = None,
    report: Report = raise_at_once,
    user_lines: bool | None = None,
) -> Table:
    """Read one file of any format into a ``Table``; ``user_lines`` says whether it is LightGCN's, None: found out."""
    if split_suffix(path)[0] in PARQUET_SUFFIXES:
        return _read_parquet(path, asked, min_weight, report)
    file = TextFile(path)
    untold = separator is None and header is None and min_weight is None and not any(
        isinstance(column, (str, int)) and column is not False for column in asked.values()
    )  # fmt: skip
    if user_lines is None and untold and split_suffix(path)[0] in (".txt", ""):
        user_lines = looks_like_user_lines(file.head, named_part=path.name.partition(".")[0] in _PART_STEMS)
    if user_lines:
        return read_user_lines(file, report)
    return read_text_table(file, asked, separator=separator, header=header, min_weight=min_weight, report=report)


def read_part_tables(parts: Mapping[str, Path], asked: Mapping[str, Column], **options: Any) -> list[Table]:
    """Read each part; where the training file is LightGCN's, so are the others, however they look."""
    tables: list[Table] = []
    for name, path in parts.items():
        user_lines = True if name != "train" and tables and tables[0].indexed else None
        tables.append(read_table(path, asked, user_lines=user_lines, **options))
    return tables


def split_of(parts: Mapping[str, Path], logs: Sequence[Interactions]) -> Split:
    """Return the logs of ``parts``, in their order, as a ``Split``."""
    by_name = dict(zip(parts, logs, strict=True))
    return Split(by_name["train"], by_name.get("valid"), by_name.get("test"))


def assemble(tables: Sequence[Table]) -> list[Interactions]:
    """Return one ``Interactions`` per table, all with the same vocabularies.

    Raises:
        PlacedError: the first table holds no interaction.
    """
    if not len(tables[0].user):
        raise PlacedError(tables[0].where, "must hold interactions; there is none", "Write one user and item per line.")
    if all(table.indexed for table in tables):
        users = Vocabulary.range(max(table.n_users for table in tables), kind="user")
        items = Vocabulary.range(max(table.n_items for table in tables), kind="item")
        indices = [(np.asarray(table.user), np.asarray(table.item)) for table in tables]
    else:
        users, user_index = index_ids([as_ids(table.user, typed=table.typed) for table in tables], "user")
        items, item_index = index_ids([as_ids(table.item, typed=table.typed) for table in tables], "item")
        indices = list(zip(user_index, item_index, strict=True))
    return [
        Interactions.from_pairs(
            of_user,
            of_item,
            users,
            items,
            timestamps=None if table.timestamp is None else table.timestamp.to_numpy(),
            weights=None if table.weight is None else table.weight.to_numpy(),
        )
        for table, (of_user, of_item) in zip(tables, indices, strict=True)
    ]


def _read_parquet(path: Path, asked: Mapping[str, Column], min_weight: float | None, report: Report) -> Table:
    source: Path | bytes = read_bytes(path) if split_suffix(path)[1] else path
    try:
        schema = pl.read_parquet_schema(source)
        names = list(schema)
        chosen = choose_columns(names, asked, str(path))
        named = {role: names[position] for role, position in chosen.items()}
        # of ids that are floats, only the whole column tells why: integers with a hole are
        whole = any(schema[named[role]].is_float() for role in ("user", "item"))
        frame = pl.scan_parquet(source).select(sorted(set(named.values())))
        n_rows = int(frame.select(pl.len()).collect().item())
        if not n_rows:
            raise PlacedError(str(path), "must hold interactions; the file has no rows", "Write one row for each.")
        size = n_rows if whole else _ROWS

        def blocks() -> Iterator[dict[str, pl.Series]]:
            for start in range(0, n_rows, size):
                block = frame.slice(start, size).collect()
                yield {role: block[name] for role, name in named.items()}

        return _typed_table(blocks(), named, str(path), min_weight, report)
    except (OSError, pl.exceptions.PolarsError) as error:
        what = f"must be a Parquet file; {str(error).splitlines()[0]}"
        raise PlacedError(str(path), what, "Was it cut, or is it of another format?") from error


def _typed_table(
    blocks: Iterator[Mapping[str, pl.Series]],
    names: Mapping[str, str],
    where: str,
    min_weight: float | None,
    report: Report,
) -> Table:
    cleaner = Cleaner(where, report, min_weight=min_weight, typed=True, names=names)
    start = 0
    for columns in blocks:
        cleaner.add(columns, place=lambda row, start=start: f"{where}, row {start + row}")  # type: ignore[misc]
        start += len(columns["user"])
    return cleaner.table()


def _to_polars(column: "nw.Series[Any]") -> pl.Series:
    """Return a narwhals series as one of polars without asking for pyarrow, which pandas alone would not bring."""
    if column.implementation.is_polars() or column.implementation.is_pyarrow():
        return pl.Series(column.name, column.to_polars())
    if column.dtype.is_numeric():
        return pl.Series(str(column.name), column.to_numpy())
    if isinstance(column.dtype, nw.Datetime):
        moments = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if column.dtype.time_zone else column
        return pl.Series(str(column.name), moments.to_numpy().astype("datetime64[us]"))
    values = [
        None if value is None or value != value else value for value in column.to_list()
    ]  # NaN alone differs from itself
    try:
        return pl.Series(str(column.name), values)
    except (TypeError, pl.exceptions.PolarsError) as error:
        kinds = sorted({type(value).__name__ for value in values if value is not None})
        raise DataError(
            f"column {column.name!r} must hold text or integers; it mixes {', '.join(kinds)}. "
            "Convert it to one of them."
        ) from error
