"""Argument checks in the vocabulary of the library; each raises ``<argument> must <rule>; got <value>. <way out>``."""

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import pairwise
from numbers import Real
from typing import NoReturn

from multimargin.errors import ArgumentError


def fail(name: str, rule: str, value: object, way_out: str = "") -> NoReturn:
    """Raise the one error message this library has for a broken argument."""
    raise ArgumentError(f"{name} must {rule}; got {value!r}." + (f" {way_out}" if way_out else ""))


def positive_int(name: str, value: int) -> int:
    """Return ``value`` if it is an integer of at least 1."""
    return at_least(name, value, 1)


def at_least(name: str, value: int, minimum: int) -> int:
    """Return ``value`` if it is an integer of at least ``minimum``."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        fail(name, "be a whole number", value)
    if int(value) < minimum:
        fail(name, f"be {minimum} or more", value)
    return int(value)


def finite(name: str, value: float | Real) -> float:
    """Return ``value`` as a float if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        fail(name, "be a finite number", value)
    return float(value)


def positive(name: str, value: float) -> float:
    """Return ``value`` as a float if it is finite and above 0."""
    if finite(name, value) <= 0:
        fail(name, "be above 0", value)
    return float(value)


def not_negative(name: str, value: float) -> float:
    """Return ``value`` as a float if it is finite and 0 or more."""
    if finite(name, value) < 0:
        fail(name, "be 0 or more", value)
    return float(value)


def fraction(name: str, value: float) -> float:
    """Return ``value`` as a float if 0 <= value < 1."""
    if not 0 <= finite(name, value) < 1:
        fail(name, "be at least 0 and below 1", value)
    return float(value)


def share(name: str, value: float) -> float:
    """Return ``value`` as a float if 0 <= value <= 1."""
    if not 0 <= finite(name, value) <= 1:
        fail(name, "be at least 0 and at most 1", value)
    return float(value)


def numbers(name: str, values: object) -> tuple[float, ...]:
    """Return ``values`` as a tuple of finite floats, at least one of them."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        fail(name, "be a sequence of numbers", values, f"For a single one write {name}=(0.9,).")
    result = tuple(finite(f"{name}[{position}]", value) for position, value in enumerate(values))
    if not result:
        fail(name, "hold at least one number", values)
    return result


def increasing(name: str, values: Iterable[float], *, sort_alike: str) -> tuple[float, ...]:
    """Return ``values`` as a tuple if each is above the one before; ``sort_alike`` names what to reorder with it."""
    result = numbers(name, values)
    if any(later <= earlier for earlier, later in pairwise(result)):
        fail(name, "increase strictly", result, f"Sort them, {sort_alike} alike.")
    return result


def choice(name: str, value: str, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``choices``; otherwise name the nearest one."""
    if value not in choices:
        fail(name, f"be one of {', '.join(choices)}", value, nearest(value, choices))
    return value


def nearest(value: object, choices: Iterable[str]) -> str:
    """Return ``Did you mean 'x'?`` for the choice closest to ``value``, or an empty string."""
    close = get_close_matches(str(value), list(choices), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""
