"""What a search varies of a recipe: the ranges its classes declare, and those asked for."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from multimargin.errors import ArgumentError, RecipeError
from multimargin.experiments.methods import SHARED
from multimargin.ranges import AnyRange, Choice, Increasing, Range
from multimargin.recipes.recipe import Recipe, parse

_NEVER = {"data", "epochs", "seed", "device", "engine", "evaluate_every", *SHARED}
_FORM = "For instance --range learning_rate=1e-4:1e-2:log, or --range n_negatives=10,100."


@dataclass(frozen=True)
class Space:
    """What is varied of one recipe, where.

    Args:
        recipe: whose other values stay.
        ranges: by key of the recipe: "learning_rate", "loss.margin".
    """

    recipe: Recipe
    ranges: Mapping[str, AnyRange]

    @classmethod
    def of(cls, recipe: Recipe, asked: Mapping[str, str], fixed: Collection[str]) -> "Space":
        """Return the declared ranges that hold the recipe's own value, and those asked for.

        Args:
            recipe: what is searched.
            asked: key -> "LOW:HIGH", "LOW:HIGH:log" or "a,b,c"; keys that this recipe has.
            fixed: keys whose declared range is not searched.

        Raises:
            RecipeError: what is asked for cannot be read, is never searched, or holds values that its class refuses;
                or there is nothing to search.
        """
        declared = recipe.ranges()
        ranges = {
            key: each
            for key, each in declared.items()
            if key not in fixed and each.drawn(own_value(recipe, key)) is not None
        }
        ranges |= {key: _read(key, text, declared.get(key), own_value(recipe, key)) for key, text in asked.items()}
        if not ranges:
            raise RecipeError(
                f"recipe {recipe.name!r} must have something to search; nothing of it is declared. "
                "Say what: --range KEY=LOW:HIGH"
            )
        space = cls(recipe, ranges)
        for key in asked:
            for end in (0, -1):
                space.changed({key: space.ends(key)[end]}).build()
        return space

    def parts(self) -> dict[str, Range | Choice]:
        """Return what numbers are drawn from, by name: the key, and a number behind where it takes several."""
        return {
            key + suffix: part
            for key, each in self.ranges.items()
            for suffix, part in each.parts(own_value(self.recipe, key)).items()
        }

    def start(self) -> dict[str, float]:
        """Return the numbers that make the recipe's own values, where those lie in the ranges asked for."""
        found: dict[str, float] = {}
        for key, each in self.ranges.items():
            drawn = each.drawn(own_value(self.recipe, key))
            found |= {} if drawn is None else {key + suffix: number for suffix, number in drawn.items()}
        return found

    def values(self, drawn: Mapping[str, float]) -> dict[str, Any]:
        """Return the recipe's values, by key, that the numbers make."""
        found = {}
        for key, each in self.ranges.items():
            own = own_value(self.recipe, key)
            found[key] = each.value({suffix: drawn[key + suffix] for suffix in each.parts(own)}, own)
        return found

    def first_values(self, drawn: Mapping[str, float]) -> dict[str, Any]:
        """Return the recipe's own values, to the last digit, where they lie in the ranges; others that numbers make."""
        own = {key: own_value(self.recipe, key) for key in self.ranges}
        return self.values(drawn) | {key: each for key, each in own.items() if self.ranges[key].drawn(each) is not None}

    def changed(self, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe with other values."""
        changes = [f"{key}={json.dumps(value)}" for key, value in values.items()]
        return Recipe(self.recipe.name, Recipe.load(dict(self.recipe.values), changes).values)

    def ends(self, key: str) -> list[Any]:
        """Return the first and the last value of a range."""
        each, own = self.ranges[key], own_value(self.recipe, key)
        if isinstance(each, Choice):
            return list(each.values)
        parts = each.parts(own)
        return [
            each.value({suffix: part.low if low else part.high for suffix, part in parts.items()}, own)  # type: ignore[union-attr]
            for low in (True, False)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the ranges as plain data."""
        return {key: {"kind": type(each).__name__, **asdict(each)} for key, each in self.ranges.items()}


def own_value(recipe: Recipe, key: str) -> Any:
    """Return a recipe's value of a key such as "loss.margin"; None where there is none."""
    top, _, inner = key.partition(".")
    value = recipe.values.get(top)
    return value if not inner else value.get(inner) if isinstance(value, Mapping) else None


def has_key(recipe: Recipe, key: str) -> bool:
    """Tell whether a recipe has something of this name."""
    top, _, inner = key.partition(".")
    value = recipe.values.get(top)
    return inner in value if inner and isinstance(value, Mapping) else not inner and value is not None


def read_asked(text: str) -> tuple[str, str]:
    """Return key and range of ``KEY=...``.

    Raises:
        RecipeError: it does not read so, or a search never varies the key.
    """
    key, equals, told = (part.strip() for part in text.partition("="))
    if not key or not equals or not told:
        raise RecipeError(f"--range must read KEY=LOW:HIGH, KEY=LOW:HIGH:log or KEY=a,b,c; got {text!r}. {_FORM}")
    if key.partition(".")[0] in _NEVER:
        raise RecipeError(f"--range must not vary {key}: it is the same for all trials. Give {key}=VALUE.")
    return key, told


def _read(key: str, text: str, declared: AnyRange | None, own: Any) -> AnyRange:
    """Return the range that ``text`` says, of the kind its key has."""
    places = text.split(":")
    try:
        if len(places) == 1 or "[" in text or "{" in text:
            return Choice(parse(f"values: [{text}]", where=key)["values"])
        low, high = (parse(f"value: {each}", where=key)["value"] for each in places[:2])
        if isinstance(own, list | tuple):
            if not isinstance(declared, Increasing) or len(places) > 2:
                raise RecipeError(f"--range {key} must name lists; got {text!r}. Write {key}=[...],[...].")
            return Increasing(low, high)
        if len(places) > 3 or (len(places) == 3 and places[2] != "log"):
            raise RecipeError(f"--range {key} must read LOW:HIGH, LOW:HIGH:log or a,b,c; got {text!r}. {_FORM}")
        real = isinstance(own, float) or (isinstance(declared, Range) and not declared.whole)  # "auto" may be either
        if real and _are_numbers(low, high):
            low, high = float(low), float(high)
        return Range(low, high, log=len(places) == 3)
    except ArgumentError as problem:
        raise RecipeError(f"--range {key}={text}: {problem}") from None


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
