"""Moments in files become numbers: text and datetimes become seconds since 1970 (UTC), numbers stay as they are."""

import datetime as dt

import numpy as np
import polars as pl
from numpy.typing import NDArray

# A number of this size or more is in the next finer unit: 1e11 s is the year 5138, 1e11 ms is 1973.
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


class UndecidedError(Exception):
    """Blocks of a column disagree on what they are, numbers or dates; only the column as a whole can tell."""


class Times:
    """A column of moments that comes in blocks; what the first block is decides how the others are read."""

    def __init__(self) -> None:
        self._first: str | None = None  # text that is there
        self._are_dates: bool | None = None  # of text; None: nothing yet

    def add(self, column: pl.Series) -> pl.Series:
        """Return the next block as Int64 or Float64, null where a value is no moment.

        Raises:
            UndecidedError: it holds dates, and those before held numbers, or the other way round.
        """
        if column.dtype != pl.String:
            return to_numbers(column)
        texts = column.drop_nulls()
        if not len(texts):
            return to_numbers(column)
        first = self._first if self._first is not None else str(texts[0])
        numbers, are_dates = _read_texts(column, first)
        if self._are_dates not in (None, are_dates):
            raise UndecidedError
        self._first, self._are_dates = first, are_dates
        return numbers


def to_numbers(column: pl.Series) -> pl.Series:
    """Return ``column`` as Int64 or Float64, null where a value is no moment.

    Args:
        column: integers, floats, dates, datetimes, or text that spells one of these (ISO 8601 for dates).
    """
    if column.dtype == pl.Date:
        column = column.cast(pl.Datetime("us"))
    if isinstance(column.dtype, pl.Datetime):
        return _seconds(column)
    if column.dtype.is_integer():
        return column.cast(pl.Int64)
    if column.dtype.is_float():
        return _finite(column.cast(pl.Float64))
    return _read_texts(column.cast(pl.String, strict=False), None)[0]


def to_number(moment: float | str | dt.date, *, like: NDArray[np.number]) -> float:
    """Return one moment in the unit that the timestamps ``like`` seem to be in; a number is returned as it is.

    Raises:
        ValueError: the text spells no moment.
    """
    if isinstance(moment, str):
        numbers = to_numbers(pl.Series([moment]))
        if numbers.null_count():
            raise ValueError(moment)
        if _is_number(moment):
            return float(numbers[0])
        return float(numbers[0]) * per_second(like)
    if isinstance(moment, dt.date):
        return float(to_numbers(pl.Series([moment]))[0]) * per_second(like)
    return float(moment)


def per_second(timestamps: NDArray[np.number]) -> float:
    """Return how many units of ``timestamps`` seem to make a second, judged by their size: 1, 1e3, 1e6 or 1e9."""
    size = float(np.median(np.abs(timestamps))) if len(timestamps) else 0.0
    return next((units for limit, units in _UNITS if size >= limit), 1.0)


def as_text(moment: float, *, like: NDArray[np.number]) -> str:
    """Return ``moment`` as "2020-02-29 12:00:00" if it seems to count from 1970, else as the number it is."""
    seconds = moment / per_second(like)
    if not 1e8 <= seconds < 1e11:  # before 1973 it is rather a counter or a year than a moment
        return f"{moment:.15g}"
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_texts(column: pl.Series, first: str | None) -> tuple[pl.Series, bool]:
    """Return text as numbers, and whether it is dates; ``first`` is the text whose format dates are to have."""
    text = column.str.strip_chars()
    missing = text.null_count()
    for candidate in (text.cast(pl.Int64, strict=False), _finite(text.cast(pl.Float64, strict=False))):
        if candidate.null_count() == missing:
            return candidate, False
    # one spelling for all: polars takes the format of the first and knows no other
    text = pl.concat([pl.Series(text.name, [first], dtype=pl.String).str.strip_chars(), text])
    spelled = text.str.replace(r"^(\d{4}-\d\d-\d\d)[Tt]", "${1} ").str.replace(r"[Zz]$", "")
    moments = _seconds(spelled.str.to_datetime(strict=False, time_unit="us", time_zone="UTC")[1:])
    numbers = _finite(spelled[1:].cast(pl.Float64, strict=False))
    # numbers with a stray word stay numbers, dates with a stray word stay dates; the stray word is null in both
    if moments.null_count() < numbers.null_count():
        return moments, True
    return numbers, False


def _finite(numbers: pl.Series) -> pl.Series:
    return pl.select(pl.when(numbers.is_finite()).then(numbers)).to_series()


def _seconds(moments: pl.Series) -> pl.Series:
    micros = moments.dt.epoch("us")
    return micros // 1_000_000 if (micros % 1_000_000 == 0).all() else micros / 1_000_000
