"""A data error that knows its place, and the way such errors travel: raised at once, or collected by ``data check``."""

from collections.abc import Callable
from typing import NoReturn

from multimargin.errors import DataError


class PlacedError(DataError):
    """A ``DataError`` with its parts kept apart.

    Args:
        where: file and line, or frame and row.
        what: the rule that is broken and what was found instead, without a full stop.
        way_out: what to do about it, a sentence.
    """

    def __init__(self, where: str, what: str, way_out: str):
        super().__init__(f"{where}: {what}. {way_out}")
        self.where, self.what, self.way_out = where, what, way_out

    def __reduce__(self) -> tuple[type["PlacedError"], tuple[str, str, str]]:
        return type(self), (self.where, self.what, self.way_out)  # else a copy across processes would lose its parts


Report = Callable[[PlacedError], None]
"""Receives each problem that concerns single rows; if it returns, the reader drops those rows and goes on."""


def raise_at_once(problem: PlacedError) -> NoReturn:
    """The ``Report`` of everyday reading: the first problem ends it."""
    raise problem


def shown(value: object, limit: int = 40) -> str:
    """Return ``repr(value)`` cut to ``limit`` characters, so that a message stays one line."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 4]}...{text[-1]}"
