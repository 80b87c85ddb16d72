"""The exception tree: drawn as it is, and every leaf can be caught as what it is to Python."""

import inspect

import pytest

from multimargin import errors

CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_is_ours_and_in_the_drawing(error):
    assert issubclass(error, errors.MultiMarginError)
    assert error.__name__ in errors.__doc__
    assert error.__doc__


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.ArgumentError, ValueError),
        (errors.DataError, ValueError),
        (errors.UnknownIdError, KeyError),
        (errors.UnknownIdError, errors.DataError),
        (errors.NoNegativesError, ValueError),
        (errors.RecipeError, ValueError),
        (errors.CheckpointError, ValueError),
        (errors.DeviceError, RuntimeError),
        (errors.DivergedError, ArithmeticError),
    ],
)
def test_kinds(error, kind):
    assert issubclass(error, kind)


@pytest.mark.parametrize("error", CLASSES)
def test_the_message_prints_as_it_was_written(error):
    assert str(error('it\'s a "line".')) == 'it\'s a "line".'
    assert str(error()) == ""
