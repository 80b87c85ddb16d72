"""Moments become numbers."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from multimargin.data.times import as_text, per_second, to_number, to_numbers

SECONDS = np.array([1_577_836_800, 1_577_923_200])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 1], [3, 1]),
        ([1.5, float("nan")], [1.5, None]),
        (["3", "1"], [3, 1]),
        (["3", "1.5"], [3.0, 1.5]),
        (["3", "soon"], [3.0, None]),
        (["2020-01-01", "2020-01-02"], SECONDS.tolist()),
        (["2020-01-01 00:00:00", "2020-01-02T00:00:00Z"], SECONDS.tolist()),
        (["2020-01-01T02:00:00+02:00"], SECONDS.tolist()[:1]),
        (["2020-01-01", "soon"], [int(SECONDS[0]), None]),
        ([dt.date(2020, 1, 1)], SECONDS.tolist()[:1]),
        ([dt.datetime(2020, 1, 1, 0, 0, 0, 250_000)], [float(SECONDS[0]) + 0.25]),
    ],
)
def test_to_numbers(values, expected):
    found = to_numbers(pl.Series(values)).to_list()
    assert found == expected
    assert list(map(type, found)) == list(map(type, expected))


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
def test_units_are_judged_by_size(factor):
    times = SECONDS * factor
    assert per_second(times) == factor
    assert as_text(times[1], like=times) == "2020-01-02 00:00:00"
    assert to_number("2020-01-02", like=times) == times[1]
    assert to_number(dt.date(2020, 1, 2), like=times) == times[1]
    assert to_number(12.0, like=times) == to_number("12", like=times) == 12.0


def test_small_numbers_are_no_dates():
    assert as_text(2017.0, like=np.array([2017.0, 2018.0])) == "2017"
    with pytest.raises(ValueError, match="soon"):
        to_number("soon", like=SECONDS)
