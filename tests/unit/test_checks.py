"""Argument checks: what passes comes back, what does not is one sentence with a way out."""

import math

import numpy as np
import pytest

from multimargin import checks
from multimargin.errors import ArgumentError


def test_fail_is_one_sentence_and_a_way_out():
    with pytest.raises(ArgumentError) as caught:
        checks.fail("margins", "increase strictly", (0.8, 0.6), "Sort them.")
    assert str(caught.value) == "margins must increase strictly; got (0.8, 0.6). Sort them."
    with pytest.raises(ArgumentError) as caught:
        checks.fail("k", "be 1 or more", 0)
    assert str(caught.value) == "k must be 1 or more; got 0."


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (checks.positive_int, [1, 7, np.int64(3)], [0, -1, 1.0, "1", None, True]),
        (lambda name, value: checks.at_least(name, value, 3), [3, 4], [2, False]),
        (checks.finite, [0, -1.5, 3], [math.nan, math.inf, -math.inf, "1", None, True]),
        (checks.positive, [1e-9, 2], [0, -1, math.nan, math.inf]),
        (checks.not_negative, [0, 0.0, 2], [-1e-9, math.nan]),
        (checks.fraction, [0, 0.0, 0.999], [1, 1.0, -0.1, math.nan]),
        (checks.share, [0, 0.5, 1], [1.001, -0.1, math.nan]),
        (checks.numbers, [[1, 2.5], (3,), range(2)], [[], "12", 3, None, [1, math.nan], ["a"]]),
        (lambda name, value: checks.increasing(name, value, sort_alike="b"), [[1], [1, 2, 3.5]], [[1, 1], [2, 1], []]),
        (lambda name, value: checks.choice(name, value, ("cosine", "dot")), ["dot"], ["cos", "", 3, None]),
    ],
)
def test_good_passes_and_bad_is_named(check, good, bad):
    for value in good:
        returned = check("it", value)
        assert returned == value or list(returned) == list(value)
    for value in bad:
        with pytest.raises(ArgumentError, match=r"^it(\[\d\])? must .*; got .*\."):
            check("it", value)


def test_numbers_come_back_as_python_numbers():
    assert type(checks.positive_int("n", np.int32(4))) is int
    assert type(checks.finite("x", 4)) is float
    assert checks.numbers("x", iter([1, 2])) == (1.0, 2.0)


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), np.int64(1)])
def test_numpy_numbers_are_numbers(value):
    assert checks.finite("x", value) == float(value)


def test_nearest_guesses():
    assert checks.nearest("multi-margins", ["multi-margin", "bpr"]) == "Did you mean 'multi-margin'?"
    assert checks.nearest("zzz", ["multi-margin", "bpr"]) == ""
    with pytest.raises(ArgumentError, match="Did you mean 'cosine'"):
        checks.choice("similarity", "cosin", ("cosine", "dot"))
