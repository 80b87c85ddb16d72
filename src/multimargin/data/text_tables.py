"""CSV, TSV, MovieLens ``::``, RecBole ``.inter`` and tables without header: separator and header are found out."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin.data.columns import ROLES, Cleaner, Column, Table, choose_columns, role_of
from multimargin.data.problems import PlacedError, Report, shown
from multimargin.data.sources import Source, TextFile
from multimargin.data.text_rows import Layout, TextRows
from multimargin.data.times import UndecidedError, to_numbers

SEPARATORS = {"::": "double colons", "\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars", " ": "spaces"}
_RECBOLE = re.compile(r"(.+):(token|float|token_seq|float_seq)")
_AMAZON_USER = re.compile(r"A[0-9A-Z]{10,27}")
_RAGGED = 5  # ragged lines that are named
_AMAZON_ITEM = re.compile(r"B[0-9A-Z]{9}|[0-9]{9}[0-9X]")


def read_text_table(
    file: TextFile,
    asked: Mapping[str, Column],
    *,
    separator: str | None,
    header: bool | None,
    min_weight: float | None,
    report: Report,
) -> Table:
    """Read a text table into a ``Table``; what is not said is found out.

    Args:
        file: the file.
        asked: column for each role.
        separator: what stands between fields, or None.
        header: whether the first line names the columns, or None.
        min_weight: keep only rows with at least this weight.
        report: receives problems of single rows.
    """
    layout = sniff(file, asked, separator=separator, header=header)
    if layout.header_line:
        chosen = choose_columns(layout.names, asked, f"{file.path}, line {layout.header_line}")
    else:
        chosen = guess_columns(file.head, layout, asked)
    try:
        return _read_blocks(file.blocks(quoted=layout.quoted), layout, chosen, min_weight, report, are_parts=True)
    except UndecidedError:
        return _read_blocks(file.blocks(whole=True), layout, chosen, min_weight, report, are_parts=False)


def _read_blocks(
    blocks: Iterator[Source],
    layout: Layout,
    chosen: Mapping[str, int],
    min_weight: float | None,
    report: Report,
    *,
    are_parts: bool,
) -> Table:
    """Read a table from its blocks.

    Raises:
        UndecidedError: only the whole table can tell: blocks with dates and with numbers, or something is wrong where
            there are quotes, and with them what is a line.
    """
    names = {role: layout.names[position] for role, position in chosen.items()} if layout.header_line else None
    cleaner: Cleaner | None = None
    ragged: list[tuple[int, int]] = []  # (line, fields) of the first ones
    n_ragged = first_line = 0
    path = ""
    for block in blocks:
        path = str(block.path)
        rows = TextRows(block, layout, chosen)
        if not rows.n_rows:
            continue
        if cleaner is None:
            cleaner, first_line = Cleaner(path, report, min_weight=min_weight, names=names), rows.line(0)
        bad = _checked_quotes(rows) if layout.quoted and are_parts else rows.ragged()
        found = np.flatnonzero(bad)
        n_ragged += len(found)
        ragged += [(rows.line(int(row)), int(rows.widths[row])) for row in found[: _RAGGED - len(ragged)]]
        kept = np.flatnonzero(~rows.blank)  # blank lines are no rows, yet the lines below keep their numbers
        columns = {role: rows.frame[str(position)] for role, position in chosen.items()}
        if len(kept) < len(bad):
            columns = {role: column.gather(kept) for role, column in columns.items()}
        cleaner.add(
            columns,
            place=lambda row, rows=rows, kept=kept: rows.place(int(kept[row])),  # type: ignore[misc]
            bad=pl.Series(bad[kept], dtype=pl.Boolean),
        )
    if cleaner is None:
        what = "must hold interactions; there is a header and nothing else"
        raise PlacedError(path, what, "Add a line for each.")
    model = "the header" if layout.header_line else f"line {first_line}"
    for line, width in ragged:
        what = f"the line must have {len(layout.names)} fields as {model} has; got {width}"
        report(PlacedError(f"{path}, line {line}", what, "Mend or delete that line."))
    if n_ragged > len(ragged):
        report(PlacedError(path, f"{n_ragged - len(ragged):,} more lines are ragged", "Is the separator right?"))
    return cleaner.table()


def _checked_quotes(rows: TextRows) -> NDArray[np.bool_]:
    """Return which lines are ragged: none.

    Raises:
        UndecidedError: some are, or the block cannot be parsed.
    """
    try:
        if rows.has_odd_quotes() or rows.ragged().any():
            raise UndecidedError
    except PlacedError:
        raise UndecidedError from None
    return np.zeros(len(rows.frame), dtype=bool)


def sniff(file: TextFile, asked: Mapping[str, Column], *, separator: str | None, header: bool | None) -> Layout:
    """Find out separator, header and quoting from the first lines.

    Raises:
        PlacedError: no separator splits the lines, or nobody can tell whether line 1 is a header.
    """
    source = file.head
    lines = source.head()
    texts = [line for _, line in lines]
    if separator is None:
        separator = _find_separator(source, texts)
    elif len(separator.encode()) != 1 and separator != "::":
        raise PlacedError(
            str(source.path),
            f"separator must be one character or '::'; got {separator!r}",
            "Leave it out to have it found.",
        )
    elif all(len(row) < 2 for row in split_lines(texts, separator)):
        found = _find_separator(source, texts)
        what = f"separator must split the lines into fields; {separator!r} splits none of them"
        raise PlacedError(
            source.place(lines[0][0]),
            what,
            f"The file looks separated by {SEPARATORS[found]}: pass {found!r}, or leave it out.",
        )
    fields = split_lines(texts, separator)
    width, agreeing = Counter(map(len, fields)).most_common(1)[0]
    if width < 2 or 2 * agreeing <= len(fields):
        width = len(fields[0])
    first = [name.strip() for name in fields[0]]
    if header is None:
        header = _has_header(source, fields, asked)
    quoted = file.quotes(separator)
    if not header:
        return Layout(separator, tuple(f"column {position}" for position in range(width)), 0, quoted)
    if len(first) != width:
        what = (
            f"the header must name {width} columns as the lines below have; it names {len(first)}: {', '.join(first)}"
        )
        raise PlacedError(
            source.place(lines[0][0]), what, "Name every column, or pass header=False if there is no header."
        )
    typed = [_RECBOLE.fullmatch(name) for name in first]
    names = [match.group(1) for match in typed if match] if all(typed) else first
    return Layout(separator, tuple(names), lines[0][0], quoted)


def guess_columns(source: Source, layout: Layout, asked: Mapping[str, Column]) -> dict[str, int]:
    """Return the columns of a table without header: by position as asked, else in the order of the known data sets.

    Those are ``user item [rating] [timestamp]`` (MovieLens, Amazon 2014), ``item user rating timestamp`` (Amazon 2018).

    Raises:
        PlacedError: the columns are none of these.
    """
    for role, wanted in asked.items():
        if isinstance(wanted, str):
            way_out = f"Pass {role}=<position from 0>, or header=True."
            raise PlacedError(
                str(source.path), f"{role}={wanted!r} must name a column of a header; the file has none", way_out
            )
    width = len(layout.names)
    chosen = {role: wanted for role, wanted in asked.items() if isinstance(wanted, int) and wanted is not False}
    if not {"user", "item"} <= chosen.keys():
        rows = split_lines([line for _, line in source.head()], layout.separator)
        sample = [row for row in rows if len(row) == width]
        columns = list(zip(*sample, strict=True))
        if width > 4 or _is_time(columns[1]) or any(chosen.get(role, 0) > 1 for role in ("user", "item")):
            what = f"a table without header must say which of its {width} columns are users and items"
            way_out = f"Pass user=<position from 0> and item=... . The first line is {shown(source.head(1)[0][1], 80)}."
            raise PlacedError(str(source.path), what, way_out)
        item_first = _share(columns[0], _AMAZON_ITEM) > 0.9 and _share(columns[1], _AMAZON_USER) > 0.9
        if "user" in chosen or "item" in chosen:
            item_first = chosen.get("user") == 1 or chosen.get("item") == 0
        chosen |= {"user": int(item_first), "item": int(not item_first)}
        for position in range(2, width):
            role = "timestamp" if _is_time(columns[position]) else "weight"
            if asked.get(role) is None and position not in chosen.values():
                chosen.setdefault(role, position)
    return choose_columns(layout.names, {role: chosen.get(role, False) for role in ROLES}, str(source.path))


def split_lines(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Return the fields of each record, quotes taken off; a quoted field may go on over several lines."""
    if len(separator) == 1 and any('"' in line for line in lines):
        try:
            return [row for row in csv.reader([f"{line}\n" for line in lines], delimiter=separator) if row]
        except csv.Error:  # a quote that never ends; whoever reads the whole table names its line
            pass
    return [line.split(separator) for line in lines]


def _find_separator(source: Source, lines: Sequence[str]) -> str:
    """Return the separator that gives all lines one number of fields, the more the better, a space last of all."""
    best, best_rank = "", (False, False, 0.0, 0)
    for separator in SEPARATORS:
        counts = Counter(map(len, split_lines(lines, separator)))
        width, agreeing = counts.most_common(1)[0]
        share = agreeing / counts.total()
        rank = (share > 0.5, separator != " ", share, width)  # dates and names hold spaces, so they come last
        if width > 1 and rank > best_rank:
            best, best_rank = separator, rank
    if (
        not best_rank[0] and len(lines) > 1
    ):  # nearly all lines are ragged: take the first one's word, and name the others
        by_first = {mark: len(split_lines(lines[:1], mark)[0]) for mark in SEPARATORS if mark != " "}
        best = max(by_first, key=lambda mark: by_first[mark])
        best_rank = (by_first[best] > 1, False, 0.0, 0)
    if not best_rank[0]:
        what = f"lines must hold fields between {', '.join(SEPARATORS.values())}; no separator splits them evenly"
        way_out = f"Pass separator=... . The first line is {shown(lines[0], 80)}."
        raise PlacedError(str(source.path), what, way_out)
    return best


def _has_header(source: Source, fields: Sequence[Sequence[str]], asked: Mapping[str, Column]) -> bool:
    first = [name.strip() for name in fields[0]]
    if any(isinstance(wanted, str) for wanted in asked.values()):
        return True
    if all(_RECBOLE.fullmatch(name) for name in first):
        return True
    if any(_number(name) is not None for name in first):
        return False
    if any(role_of(name) in ("user", "item") for name in first):
        return True
    rest = [row for row in fields[1:] if len(row) == len(first)]
    if rest and any(_number(row[position]) is not None for row in rest[:1] for position in range(len(first))):
        return True
    if any(value == row[position] for row in rest for position, value in enumerate(first)):
        return False
    what = f"nobody can tell whether the first line is a header: {shown(','.join(first), 80)}"
    raise PlacedError(str(source.path), what, "Pass header=True or header=False.")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _share(values: Sequence[str], pattern: re.Pattern[str]) -> float:
    return sum(pattern.fullmatch(value) is not None for value in values) / max(len(values), 1)


def _is_time(values: Sequence[str]) -> bool:
    numbers = [_number(value) for value in values]
    large = [number for number in numbers if number is not None and number >= 1e8]
    if len(large) > len(values) / 2:
        return True
    looks_dated = sum(bool(re.match(r"\d{4}-\d\d-\d\d", value)) for value in values)
    return looks_dated > len(values) / 2 and to_numbers(pl.Series(values[:1])).null_count() == 0
