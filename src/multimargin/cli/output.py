"""What the commands print: results on stdout, everything else on stderr."""

import contextlib
import errno
import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from multimargin import checks

if TYPE_CHECKING:
    import polars as pl


def result(text: str) -> None:
    """Print a result."""
    sys.stdout.write(text + "\n")


def json_result(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print a result as one line of JSON."""
    result(json.dumps(value, ensure_ascii=False))


def note(text: str) -> None:
    """Tell the user something that is not the result."""
    sys.stderr.write(text + "\n")


def error(text: str) -> None:
    """Print the one line that says what is wrong."""
    note("error: " + " ".join(text.split()))


def columns(rows: Iterable[Sequence[object]], *, headings: Sequence[str] = ()) -> str:
    """Return rows as text in aligned columns, numbers to the right."""
    body = [list(row) for row in rows]
    table = [[str(cell) for cell in row] for row in ([list(headings)] if headings else []) + body]
    if not table:
        return ""
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    right = [bool(body) and all(isinstance(row[place], int | float) for row in body) for place in range(len(widths))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in table
    )


def log_to_stderr() -> None:
    """Send the library's log to stderr, one line per message."""
    logger = logging.getLogger("multimargin")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def frame_writer(path: Path | None) -> "Callable[[pl.DataFrame], None]":
    """Return what writes a table to ``path``, without path as CSV to stdout; refuses before anything is computed.

    Raises:
        ArgumentError: the suffix is none of .parquet, .csv and .jsonl.
    """
    if path is None:
        return lambda frame: result(frame.write_csv().rstrip("\n"))
    _writer_of(path)
    if not path.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "No such folder to write in", str(path.parent))

    def write(frame: "pl.DataFrame") -> None:
        write_frame(frame, path)
        note(f"{len(frame):,} rows written to {path}")

    return write


def write_frame(frame: "pl.DataFrame", path: Path) -> None:
    """Write a table by the suffix of ``path``, to a temporary name in the same folder that is then moved."""
    write = _writer_of(path)
    if path.exists() and not path.is_file():  # a pipe or device is written to, never replaced
        with path.open("wb") as file:
            write(frame, file)
        return
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            write(frame, file)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _writer_of(path: Path) -> "Callable[[pl.DataFrame, BinaryIO], None]":
    def as_parquet(frame: "pl.DataFrame", file: BinaryIO) -> None:
        frame.write_parquet(file)

    def as_csv(frame: "pl.DataFrame", file: BinaryIO) -> None:
        file.write(frame.write_csv().encode())

    def as_json_lines(frame: "pl.DataFrame", file: BinaryIO) -> None:
        file.write(frame.write_ndjson().encode())

    writers = {".parquet": as_parquet, ".csv": as_csv, ".jsonl": as_json_lines}
    if path.suffix not in writers:
        checks.fail("--output", f"end in {', '.join(writers)}", str(path), "For instance -o recs.parquet.")
    return writers[path.suffix]
