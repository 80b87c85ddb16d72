"""When to stop and when to lower the learning rate."""

import pytest

from multimargin.errors import ArgumentError
from multimargin.train import EarlyStopping, ReduceOnPlateau


def test_patience_is_how_many_evaluations_may_fail():
    rule = EarlyStopping(patience=3)
    assert [rule.stops(waited) for waited in range(5)] == [False, False, False, True, True]
    assert EarlyStopping(1).stops(1)


def test_each_patience_further_is_another_plateau():
    rule = ReduceOnPlateau(patience=2)
    assert [rule.triggers(waited) for waited in range(7)] == [False, False, True, False, True, False, True]
    assert [ReduceOnPlateau().triggers(waited) for waited in range(3)] == [False, True, True]


def test_the_rate_falls_by_the_factor_and_never_below_its_floor():
    rule = ReduceOnPlateau(factor=0.1, min_learning_rate=1e-5)
    assert rule.reduce(1e-3) == pytest.approx(1e-4)
    assert rule.reduce(5e-5) == 1e-5
    assert rule.reduce(1e-5) == 1e-5
    assert rule.reduce(1e-6) == 1e-6  # what starts below the floor is not raised to it


@pytest.mark.parametrize(
    ("rule", "arguments", "message"),
    [
        (EarlyStopping, {"patience": 0}, "patience must be 1 or more"),
        (EarlyStopping, {"patience": 1.5}, "patience must be a whole number"),
        (ReduceOnPlateau, {"factor": 1.0}, "factor must be above 0 and below 1"),
        (ReduceOnPlateau, {"factor": 0.0}, "factor must be above 0 and below 1"),
        (ReduceOnPlateau, {"patience": 0}, "patience must be 1 or more"),
        (ReduceOnPlateau, {"min_learning_rate": 0.0}, "min_learning_rate must be above 0"),
    ],
)
def test_a_broken_argument_is_named(rule, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        rule(**arguments)
