"""The type checker behind the shape annotations in tests: pytest's ``--jaxtyping-packages`` names it."""

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int where a float is asked for is fine


def check(function):
    """Check calls of ``function``, but not of constructors: a broken argument is theirs to name."""
    return function if function.__name__ == "__init__" else _check(function)
