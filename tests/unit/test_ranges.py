"""Ranges: every one that is declared names a parameter and builds, and numbers make values and values numbers."""

import inspect

import numpy as np
import pytest

from multimargin.baselines import BASELINES
from multimargin.encoders import ENCODERS
from multimargin.errors import ArgumentError
from multimargin.losses import LOSSES
from multimargin.negatives import NEGATIVES
from multimargin.ranges import Choice, Increasing, Range, Shares, searched
from multimargin.recipes.recipe import Recipe, recipe_names
from multimargin.train.loop import Trainer

CLASSES = {each.__name__: each for axis in (LOSSES, NEGATIVES, ENCODERS, BASELINES) for each in axis.values()}
CLASSES["Trainer"] = Trainer
DECLARED = [(name, key) for name, each in CLASSES.items() for key in each.ranges]


@pytest.mark.parametrize(("name", "key"), DECLARED, ids=lambda value: value)
def test_what_is_declared_is_a_parameter_and_builds_from_end_to_end(name, key):
    parameters = inspect.signature(CLASSES[name]).parameters
    assert key in parameters
    own, declared = parameters[key].default, CLASSES[name].ranges[key]
    parts = declared.parts(own)
    if isinstance(declared, Choice):
        numbers = [{"": place} for place in range(len(declared.values))]
    else:
        numbers = [{suffix: getattr(part, end) for suffix, part in parts.items()} for end in ("low", "high")]
    for drawn in numbers:
        value = declared.value(drawn, own)
        assert type(value) is {tuple: list, str: float if own == "auto" else str}.get(type(own), type(own))
        CLASSES[name](**{key: value})


@pytest.mark.parametrize(("name", "key"), DECLARED, ids=lambda value: value)
def test_defaults_lie_inside_unless_they_switch_something_off(name, key):
    own, declared = inspect.signature(CLASSES[name]).parameters[key].default, CLASSES[name].ranges[key]
    assert declared.drawn(own) is not None or own in (0, "auto")


def test_margins_and_temperatures_are_declared_and_the_number_of_negatives_is_not():
    for name in LOSSES:
        parameters = set(inspect.signature(LOSSES[name]).parameters) & {"margin", "margins", "temperature"}
        assert parameters <= set(LOSSES[name].ranges), name
    assert set(Trainer.ranges) == {"learning_rate", "weight_decay"}


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_has_what_can_be_searched(name):
    recipe = Recipe.load(name)
    inside = []
    for key, declared in recipe.ranges().items():
        top, _, inner = key.partition(".")
        own = recipe.values[top][inner] if inner else recipe.values[top]
        drawn = declared.drawn(own)
        if drawn is None:  # set from the data, switched off, or so small that it hardly counts
            assert own == "auto" or key.endswith("weight_decay"), (name, key, own)
            continue
        inside.append(key)
        assert declared.value(drawn, own) == pytest.approx(list(own) if isinstance(own, tuple) else own, rel=1e-3)
    assert inside or name.endswith("popularity")


class TestKinds:
    def test_plain_numbers(self):
        assert Range(1, 9).value({"": 4}, 2) == 4
        assert Range(1.0, 9.0).value({"": 1.23456}, 2.0) == 1.235
        assert Range(1.0, 9.0).drawn(0.5) is None
        assert Range(1, 9).drawn(2.5) is None
        assert Range(1.0, 9.0).drawn(None) is None
        assert Range(0.0, 1.0).drawn(True) is None
        assert Choice(["a", [1, 2]]).value({"": 1}, None) == [1, 2]
        assert Choice(["a", [1, 2]]).drawn([1, 2]) == {"": 1}
        assert Choice(["a", "b"]).drawn("c") is None

    def test_margins_increase_whatever_is_drawn(self):
        rng, own = np.random.default_rng(0), (0.6, 0.7, 0.8, 0.9)
        margins = Increasing(0.2, 1.0)
        parts = margins.parts(own)
        for _ in range(200):
            found = margins.value({name: rng.uniform(part.low, part.high) for name, part in parts.items()}, own)
            assert len(found) == 4
            assert 0.2 <= found[0] < found[1] < found[2] < found[3] < 1
        assert margins.value(margins.drawn(own), own) == pytest.approx(list(own))
        assert margins.drawn((0.1, 0.5, 0.7, 0.9)) is None
        assert margins.drawn((0.6, 0.7, 0.8, 1.0)) is None

    def test_shares_keep_the_total(self):
        own = (0.2, 0.3, 1.5)
        assert sum(Shares().value({".0": 0.5, ".1": 0.1, ".2": 0.9}, own)) == pytest.approx(2.0)
        assert Shares().value(Shares().drawn(own), own) == pytest.approx(list(own))
        assert Shares(0.5).drawn(own) is None

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Range(2.0, 1.0), "high must be above low=2; got 1.0"),
            (lambda: Range(0.0, 1.0, log=True), "low must be above 0; got 0.0"),
            (lambda: Range(float("nan"), 1.0), "low must be a finite number"),
            (lambda: Choice([1]), "values must be two or more"),
            (lambda: Increasing(1.0, 0.0), "high must be above low"),
        ],
    )
    def test_refused(self, make, message):
        with pytest.raises(ArgumentError, match=message):
            make()

    def test_what_is_declared_cannot_be_changed(self):
        with pytest.raises(TypeError):
            searched(margin=Range(0.0, 1.0))["margin"] = None
