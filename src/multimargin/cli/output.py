"""What the commands print: results on stdout, everything else on stderr."""

import json
import logging
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


class Interruption(Exception):  # noqa: N818 - nobody's fault
    """The user has ended the command; unlike a KeyboardInterrupt, its message survives typer."""


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


def command() -> str:
    """Return how to type this command again: by name where it is found, else by the path it was called by."""
    called, found = Path(sys.argv[0]), shutil.which("multimargin")
    by_path = called.stem == "multimargin" and (found is None or not called.exists() or not called.samefile(found))
    return str(called) if by_path else "multimargin"


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


def frames_result(frames: "Iterable[pl.DataFrame]", to: Path | None) -> None:
    """Write tables one after the other into a file by its suffix; without one, print them as CSV."""
    if to is not None:
        from multimargin.recommend import write_frames

        note(f"{write_frames(to, frames):,} rows written to {to}")
        return
    for number, frame in enumerate(frames):
        sys.stdout.write(frame.write_csv(include_header=number == 0))
