"""Which values of a parameter are worth trying: declared beside a constructor, drawn from by a search.

A class says ``ranges = searched(margin=Range(0.0, 1.0))``. Each kind of range has ``parts``, plain ones, from which
numbers are drawn; ``value`` makes the parameter's value of them, and ``drawn`` finds the numbers that make a value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from multimargin import checks

Drawn = dict[str, float]
"""Numbers that were drawn, by the suffix of the part they belong to: "" where a range has one part."""

_STEP = (0.1, 0.9)  # of what is left up to the highest value, for each further one: never two alike


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones where both ends are.

    Args:
        low: finite.
        high: above ``low``.
        log: draw evenly in the logarithm; ``low`` is above 0 then.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        checks.finite("low", self.low)
        checks.finite("high", self.high)
        if self.high <= self.low:
            checks.fail("high", f"be above low={self.low:g}", self.high)
        if self.log:
            checks.positive("low", self.low)

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers alone."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def parts(self, own: Any) -> "dict[str, Range | Choice]":  # noqa: ARG002 - the same for every value
        """Return what is drawn from, by suffix."""
        return {"": self}

    def value(self, drawn: Mapping[str, float], own: Any) -> Any:  # noqa: ARG002
        """Return the value that the numbers make, to four digits."""
        return int(drawn[""]) if self.whole else _rounded(drawn[""], 4)

    def drawn(self, own: Any) -> Drawn | None:
        """Return the numbers that make ``own``; None where it lies outside."""
        inside = _is_number(own) and self.low <= own <= self.high
        return {"": own} if inside and (isinstance(own, int) or not self.whole) else None


@dataclass(frozen=True)
class Choice:
    """One of some values; what is drawn is its place.

    Args:
        values: two or more, of any kind that a recipe may hold.
    """

    values: Sequence[Any]

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            checks.fail("values", "be two or more", list(self.values))

    def parts(self, own: Any) -> "dict[str, Range | Choice]":  # noqa: ARG002
        """Return what is drawn from, by suffix."""
        return {"": self}

    def value(self, drawn: Mapping[str, float], own: Any) -> Any:  # noqa: ARG002
        """Return the value at the place that was drawn."""
        return self.values[int(drawn[""])]

    def drawn(self, own: Any) -> Drawn | None:
        """Return the place of ``own``; None where it is none of them."""
        return {"": list(self.values).index(own)} if own in self.values else None


@dataclass(frozen=True)
class Increasing:
    """As many increasing numbers between ``low`` and ``high`` as the recipe has.

    The first is drawn; each further one lies a drawn share of the way from the one before up to ``high``.

    Args:
        low: finite.
        high: above ``low``; never reached.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        Range(self.low, self.high)

    def parts(self, own: Any) -> dict[str, Range | Choice]:
        """Return what is drawn from, by suffix."""
        first = Range(self.low, self.low + _STEP[1] * (self.high - self.low))
        return {".0": first, **{f".{place}": Range(*_STEP) for place in range(1, len(own))}}

    def value(self, drawn: Mapping[str, float], own: Any) -> list[float]:
        """Return the numbers, to six digits."""
        found = [drawn[".0"]]
        for place in range(1, len(own)):
            found.append(found[-1] + drawn[f".{place}"] * (self.high - found[-1]))
        return [_rounded(each, 6) for each in found]

    def drawn(self, own: Any) -> Drawn | None:
        """Return the numbers that make ``own``; None where it lies outside."""
        if not own or own[-1] >= self.high:
            return None
        shares = [(later - one) / (self.high - one) for one, later in pairwise(own)]
        return _within(self.parts(own), [own[0], *shares])


@dataclass(frozen=True)
class Shares:
    """Numbers above 0 that share the recipe's total, as many as it has.

    One number is drawn for each; its share is that number over their sum.

    Args:
        low: the smallest number drawn, in (0, 1); the largest is 1.
    """

    low: float = 0.02

    def parts(self, own: Any) -> dict[str, Range | Choice]:
        """Return what is drawn from, by suffix."""
        return {f".{place}": Range(self.low, 1.0) for place in range(len(own))}

    def value(self, drawn: Mapping[str, float], own: Any) -> list[float]:
        """Return the numbers, to six digits."""
        found = [drawn[f".{place}"] for place in range(len(own))]
        return [_rounded(each * sum(own) / sum(found), 6) for each in found]

    def drawn(self, own: Any) -> Drawn | None:
        """Return the numbers that make ``own``; None where one is too small."""
        return _within(self.parts(own), [each / max(own) for each in own]) if own and max(own) > 0 else None


AnyRange = Range | Choice | Increasing | Shares


def searched(**ranges: AnyRange) -> Mapping[str, AnyRange]:
    """Return what a class declares: which parameters of its constructor a search varies, and where."""
    return MappingProxyType(ranges)


def _within(parts: Mapping[str, Range | Choice], numbers: Sequence[float]) -> Drawn | None:
    """Return ``numbers`` by the suffix of their parts; None where one lies outside its part, by more than rounding."""
    found: Drawn = {}
    for (suffix, part), number in zip(parts.items(), numbers, strict=True):
        assert isinstance(part, Range)
        if not part.low - 1e-9 <= number <= part.high + 1e-9:
            return None
        found[suffix] = min(max(number, part.low), part.high)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
