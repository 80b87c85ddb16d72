"""Tables of items and what they are called: which column holds ids, which hold texts."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import polars as pl

from multimargin.data.columns import MISSING, normalise, role_of
from multimargin.data.problems import PlacedError
from multimargin.data.readers import PARQUET_SUFFIXES
from multimargin.data.sources import must_exist, read_bytes, split_suffix

TITLES = ("title", "itemtitle", "movietitle", "name", "itemname", "text", "description")  # the first there is
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".item": "\t", ".txt": "\t"}


def read_texts(
    path: str | Path, *, item: str | None = None, text: Sequence[str] | None = None, separator: str | None = None
) -> tuple[pl.Series, list[str]]:
    """Return the ids of a table of items, as they stand there, and the text of each.

    Args:
        path: CSV, TSV or RecBole's ``.item`` with a header, also as ``.gz`` or ``.zst``, or Parquet.
        item: the column of ids; None: by its usual names (item_id, movieId, asin, ...).
        text: the columns of texts, joined by a blank in this order; None: the one called title, name or the like.
        separator: what stands between fields; None: by the suffix.

    Raises:
        PlacedError: there is no such file or column, or an id is missing or twice there.
    """
    path = must_exist(Path(path))
    frame = _read(path, separator)
    usual = [each for each in frame.columns if role_of(each) == "item"]
    ids = frame[_column(path, frame, item, "item", usual)]
    by_name = {normalise(each): each for each in reversed(frame.columns)}
    usual = [by_name[each] for each in TITLES if each in by_name]
    wanted: Sequence[str | None] = text or [None]
    columns = [_column(path, frame, each, "text", usual) for each in wanted]
    ids = ids if ids.dtype.is_integer() else ids.cast(pl.String)
    lost = ids.is_null() | ids.cast(pl.String).is_in(MISSING)
    for wrong, rule in ((lost, "have an id"), (ids.is_duplicated() & ~lost, "have an id of its own")):
        if (row := wrong.arg_max()) is not None and wrong[row]:
            where, what = f"{path}, row {row + 1} below the header", f"an item must {rule}; got {ids[row]!r}"
            raise PlacedError(where, what, "Mend or delete that row.")
    parts = frame.select(pl.col(each).cast(pl.String).fill_null("") for each in dict.fromkeys(columns))
    texts = parts.select(pl.concat_str(pl.all(), separator=" ").str.strip_chars()).to_series()
    if not (texts != "").any():
        raise PlacedError(str(path), f"{', '.join(columns)} must hold texts; all are empty", "Name other columns.")
    return ids, texts.to_list()


def _read(path: Path, separator: str | None) -> pl.DataFrame:
    suffix = split_suffix(path)[0]
    content = BytesIO(read_bytes(path))
    try:
        if suffix in PARQUET_SUFFIXES:
            return pl.read_parquet(content)
        if separator is None and suffix not in _SEPARATORS:
            what = f"must end in {', '.join((*_SEPARATORS, *PARQUET_SUFFIXES))}, or its separator must be named"
            raise PlacedError(str(path), what, "Name what stands between fields, with separator=... .")
        between = separator or _SEPARATORS[suffix]
        quote = None if between == "\t" else '"'  # a quote in a title of a TSV is one
        frame = pl.read_csv(content, separator=between, quote_char=quote, infer_schema=False)
    except (ValueError, pl.exceptions.PolarsError) as error:
        if isinstance(error, PlacedError):
            raise
        what = f"must be a table; {str(error).splitlines()[0]}"
        raise PlacedError(str(path), what, "Was it cut, or is the separator another?") from error
    return frame.rename({each: each.rpartition(":")[0] for each in frame.columns if _is_recbole(each)})


def _is_recbole(name: str) -> bool:
    return name.rpartition(":")[2] in ("token", "token_seq", "float", "float_seq") and ":" in name


def _column(path: Path, frame: pl.DataFrame, wanted: str | None, role: str, usual: Sequence[str]) -> str:
    there = f"The columns there: {', '.join(frame.columns)}."
    if wanted is None:
        if not usual:
            what = f"the header must name a column of {role}s; none has a usual name"
            raise PlacedError(str(path), what, f"Name it with {role}=... . {there}")
        return usual[0]
    if wanted not in frame.columns:
        raise PlacedError(str(path), f"{role} must name a column; there is no {wanted!r}", there)
    return wanted
