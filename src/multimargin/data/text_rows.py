"""The lines of a text table below its header, numbered as polars does and as an editor does."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin.data.problems import PlacedError
from multimargin.data.sources import Source

_ONE_BYTE = "\x1f"  # stands for "::", as polars separates by one byte


@dataclass(frozen=True)
class Layout:
    """How a text table is written.

    Args:
        separator: what stands between fields.
        names: names of the columns; made up ("column 0", ...) where there is no header.
        header_line: the header's line number, from 1; 0 where there is none.
        quoted: fields may be in double quotes.
    """

    separator: str
    names: tuple[str, ...]
    header_line: int
    quoted: bool


class TextRows:
    """The lines of a block below the header, as polars numbers them and as an editor does.

    Args:
        source: the block.
        layout: of the file.
        chosen: role -> position of its column.
    """

    def __init__(self, source: Source, layout: Layout, chosen: Mapping[str, int]):
        self._layout, self._chosen = layout, chosen
        n_skipped = max(layout.header_line - source.lines_before, 0)
        skipped = 0
        if n_skipped:
            skipped = int(source.line_ends[min(n_skipped, len(source.line_ends)) - 1]) + 1
        body = source.data[skipped:]
        leading = body[: len(body) - len(body.lstrip(b"\r\n"))]
        leading = leading[: leading.rfind(b"\n") + 1]
        self._first_line = n_skipped + leading.count(b"\n") + 1  # of the block
        body = body[len(leading) :].rstrip(b"\r\n")
        body += b"\n" if body else b""  # else polars overlooks an empty last field
        if layout.separator == "::":
            body = body.replace(b"::", _ONE_BYTE.encode())
        self._source = replace(source, data=body)
        self._separator = _ONE_BYTE if layout.separator == "::" else layout.separator
        self._n_fields = len(layout.names)

    def has_odd_quotes(self) -> bool:
        """Tell whether a double quote stands at neither end of a field, nor next to another."""
        text = self._source.bytes_
        at = np.flatnonzero(text == ord('"'))
        ends = np.array([ord(each) for each in (self._separator, "\n", "\r", '"')], dtype=np.uint8)
        before, after = text[np.maximum(at - 1, 0)], text[np.minimum(at + 1, len(text) - 1)]
        return not (np.isin(before, ends) | np.isin(after, ends) | (at == 0)).all()

    @cached_property
    def widths(self) -> NDArray[np.int64]:
        """Fields of each record; 0 for a blank line."""
        if self._layout.quoted:
            return self._records[1]
        text, ends = self._source.bytes_, self._source.line_ends
        marks = np.flatnonzero(text == ord(self._separator))
        widths = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
        lengths = np.diff(ends, prepend=-1) - 1
        carriage = (lengths == 1) & (text[np.maximum(ends - 1, 0)] == ord("\r"))
        widths[(lengths == 0) | carriage] = 0
        return widths

    @cached_property
    def _records(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(last line, fields) of each record of a quoted table; slow, for tables with something wrong or odd."""
        reader = csv.reader(
            io.StringIO(self._source.data.decode(errors="replace"), newline=""), delimiter=self._separator
        )
        pairs = [(reader.line_num, len(row)) for row in reader]
        return np.array([line for line, _ in pairs], dtype=np.int64), np.array(
            [fields for _, fields in pairs], dtype=np.int64
        )

    @property
    def n_rows(self) -> int:
        """Lines below the header, blank ones between others included."""
        return len(self._source.line_ends) if self._source.data else 0

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The chosen columns and the last one as text, named by position; a ragged line is cut or filled."""
        wanted = {*self._chosen.values(), self._n_fields - 1}
        try:
            return self._parse([str(position) for position in sorted(wanted)], truncate=True)
        except pl.exceptions.PolarsError as error:
            self._refuse(error)

    def _parse(self, columns: list[str] | None, *, truncate: bool) -> pl.DataFrame:
        # a header of our own, so that a first line with too few fields does not define the table
        header = self._separator.join(str(position) for position in range(self._n_fields))
        return pl.read_csv(
            header.encode() + b"\n" + self._source.data,
            columns=columns,
            infer_schema=False,
            separator=self._separator,
            quote_char='"' if self._layout.quoted else None,
            truncate_ragged_lines=truncate,
        )

    def _refuse(self, error: Exception) -> NoReturn:
        """Say what polars found wrong, and where."""
        try:
            text = self._source.data.decode()
        except UnicodeDecodeError as bad:
            line = self._first_line + self._source.line_of(bad.start) - 1
            what = f"must be UTF-8 text; byte {self._source.data[bad.start]:#04x} is not"
            way_out = "Save the file as UTF-8 (iconv -f latin1 -t utf8)."
            raise PlacedError(self._source.place(line), what, way_out) from error
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self._separator, strict=True)
        last_line = 0
        try:
            for _ in reader:
                last_line = reader.line_num
        except csv.Error as bad:
            what = f"a field in double quotes must end with one, before the separator; {bad}"
            way_out = "Close the quote, and double those inside."
            raise PlacedError(self._source.place(self._first_line + last_line), what, way_out) from error
        what = f"must be a table; {str(error).splitlines()[0]}"
        raise PlacedError(str(self._source.path), what, "Mend it or convert it.") from error

    @cached_property
    def blank(self) -> NDArray[np.bool_]:
        """Which rows are blank lines."""
        if not self._layout.quoted:
            return np.equal(self.widths, 0)
        nothing: NDArray[np.bool_] = self.frame.select(pl.all_horizontal(pl.all().is_null())).to_series().to_numpy()
        return nothing & (self.widths == 0) if nothing.any() else nothing

    def ragged(self) -> NDArray[np.bool_]:
        """Return which lines have too few or too many fields."""
        if self._layout.quoted and not self._may_be_ragged():
            return np.zeros(len(self.frame), dtype=bool)
        wrong: NDArray[np.bool_] = (self.widths != self._n_fields) & (self.widths != 0)
        return wrong

    def _may_be_ragged(self) -> bool:
        # polars says nothing of short lines: their last field is missing, as that of a line with an empty last field
        if self.frame.to_series(-1).null_count():
            return True
        try:
            self._parse(None, truncate=False)
        except pl.exceptions.PolarsError:
            return True
        return False

    def line(self, row: int) -> int:
        """Return the number of the line, from 1 in the user's file, of ``row``."""
        first = self._source.lines_before + self._first_line
        return first + (int(self._records[0][row]) - 1 if self._layout.quoted else row)

    def place(self, row: int) -> str:
        """Return how messages name ``row``."""
        return f"{self._source.path}, line {self.line(row)}"
