"""What all runs of a comparison or search share: data, split, cut-offs, users, metric; settled before any runs."""

import itertools
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from multimargin import checks
from multimargin.data import catalogue
from multimargin.data.folders import find_parts
from multimargin.errors import CheckpointError, DataError, RecipeError
from multimargin.recipes.fit import Parts, read_data, split_data, with_data
from multimargin.recipes.recipe import Recipe

_LOG = logging.getLogger("multimargin")
_K = [20, 50]

SHARED = ("read", "protocol", "split", "split_seed", "k", "evaluate_users", "metric")
"""Keys of recipes that are one for all."""

Source = str | Path | Recipe


@dataclass(frozen=True)
class Method:
    """A recipe as it takes part.

    Args:
        name: the recipe's, with what was varied.
        recipe: with its data, and all that is shared.
    """

    name: str
    recipe: Recipe

    @property
    def folder(self) -> str:
        """The name as that of a folder."""
        return re.sub(r"[^\w.=+-]+", "_", self.name)


def settle_methods(
    recipes: Sequence[Source],
    data: str | Path | None,
    protocol: str,
    metric: str | None,
    overrides: list[str],
    vary: Mapping[str, Sequence[Any]],
) -> list[Method]:
    """Return every recipe with every combination of what varies, all with the same split and evaluation."""
    if not recipes:
        checks.fail("recipes", "hold at least one recipe", list(recipes), "See them with: multimargin list recipes")
    for key, values in vary.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            checks.fail(f"vary {key}", "hold a list of values", values, "For instance n_negatives=[10,100].")
    plain = [with_data(source if isinstance(source, Recipe) else Recipe.load(source), data) for source in recipes]
    names = [each.name for each in plain]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"recipes must have different names; got {name!r} twice. Rename a file, or use --vary.")
    keys = [text.partition("=")[0].strip() for text in overrides]
    common = [f"protocol={protocol}", *_common(plain, keys, metric, overrides)]
    methods = []
    for recipe in plain:
        varied = {key: values for key, values in vary.items() if concerns(recipe, key)}
        for combination in itertools.product(*varied.values()):
            chosen = dict(zip(varied, combination, strict=True))
            changes = [f"{key}={json.dumps(value)}" for key, value in chosen.items()]
            concerning = [text for text in overrides if concerns(recipe, text.partition("=")[0])]
            loaded = Recipe.load(dict(recipe.values), [*common, *concerning, *changes])
            name = " ".join([recipe.name, *(f"{key}={_short(value)}" for key, value in chosen.items())])
            methods.append(Method(name, Recipe(name, loaded.values)))
    for key in ("data", *SHARED):
        values = [json.dumps(method.recipe.values[key], default=str) for method in methods]
        for method, value in zip(methods, values, strict=True):
            if value != values[0]:
                way_out = "Give --data PATH." if key == "data" else f"Give {key}=VALUE for all of them."
                raise RecipeError(
                    f"{key} must be the same for all; it is {values[0]} for {methods[0].name!r} and {value} for "
                    f"{method.name!r}. {way_out}"
                )
    return methods


def concerns(recipe: Recipe, key: str) -> bool:
    """Tell whether an override means anything to a recipe: nothing said of training does where nothing is trained."""
    top = key.strip().partition(".")[0]
    return recipe.is_trained or top in SHARED or recipe.values.get(top, "") is not None


def _common(recipes: Sequence[Recipe], given: Sequence[str], metric: str | None, overrides: Sequence[str]) -> list[str]:
    """Return what all recipes must share and the caller has not said, as overrides."""
    chosen = []
    if "split_seed" not in given:
        chosen.append("split_seed=0")
    if "evaluate_users" not in given:
        chosen.append("evaluate_users=null")
    k = _agreed(recipes, "k") or _K
    for text in overrides:
        key, _, value = text.partition("=")
        if key.strip() == "k":
            k = yaml.safe_load(value)
            k = sorted(k) if isinstance(k, list) and k else [k]  # what is no cut-off, Recipe.load refuses
    chosen.append(f"k={json.dumps(k)}")
    if "metric" not in given:
        theirs = _agreed(recipes, "metric")
        if metric is None and theirs is not None and theirs.partition("@")[2] in map(str, k):
            metric = theirs
        chosen.append(f"metric={metric or f'NDCG@{k[0]}'}")
    if not any(key.partition(".")[0] == "split" for key in given):
        chosen += _split_for(recipes)
    return chosen


def _split_for(recipes: Sequence[Recipe]) -> list[str]:
    where = recipes[0].values["data"]
    in_parts = where in catalogue.CATALOGUE or (Path(where).exists() and bool(find_parts(Path(where))))
    theirs = _agreed(recipes, "split")
    if theirs is not None and (in_parts or theirs["name"] != "given"):
        return []
    chosen = "given" if in_parts else "random-per-user"
    why = "recipes split differently" if theirs is None else "the data has no parts"
    _LOG.info("split=%s for all: %s", chosen, why)
    return [f"split={chosen}"]


def _agreed(recipes: Sequence[Recipe], key: str) -> Any:
    """Return the value of ``key`` that all recipes have, or None."""
    first = recipes[0].values[key]
    return first if all(recipe.values[key] == first for recipe in recipes) else None


def settle_data(methods: Sequence[Method], *, on: Literal["test", "validation"]) -> tuple[Parts, dict[str, Any]]:
    """Build everything once, so that what is wrong is found before anything runs; return the data and what is shared.

    Raises:
        DataError: there is no test data, or no validation data, to measure on.
    """
    for method in methods:
        method.recipe.build()
    recipe = methods[0].recipe
    parts = split_data(recipe, recipe.strategy(), read_data(recipe))
    if (parts.test if on == "test" else parts.select) is None:
        raise DataError(
            f"split must set {on} data aside to {'compare' if on == 'test' else 'search'} on; it sets none. "
            f"Set split.{on.removesuffix('ation')}, or another split."
        )
    for method in methods[1:]:  # a stopping rule may want validation data
        if parts.select is None and (method.recipe.values["stopping"] or method.recipe.values["schedule"]):
            split_data(method.recipe, method.recipe.strategy(), read_data(method.recipe))
    shared = {key: recipe.values[key] for key in SHARED}
    settings = {
        "data": recipe.values["data"],
        "data_hash": parts.data_hash,
        "split_hash": parts.split_hash,
        "users": parts.train.n_users,
        "items": parts.train.n_items,
        "interactions": len(parts.train),
        **shared,
    }
    plain: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return parts, plain


def claim(file: Path, settings: Mapping[str, Any]) -> None:
    """Make the folder of ``file`` that of these settings, or see that it is.

    Args:
        file: "comparison.json" or "search.json" in the folder; its stem is what messages call it.
        settings: what the file holds.

    Raises:
        CheckpointError: the folder is another's, or holds other files.
    """
    to, what = file.parent, file.stem
    if to.exists() and not to.is_dir():
        raise CheckpointError(f"the folder of a {what} must be a folder; {to} is a file. Choose another with -o DIR.")
    if file.exists():
        try:
            theirs = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            raise CheckpointError(
                f"{file} must hold a JSON object; it is corrupt. Choose another with -o DIR."
            ) from None
        for key, value in settings.items():
            if key != "data" and theirs.get(key) != value:
                raise CheckpointError(
                    f"{to} must be a new folder or this {what}'s; it holds another: its {key} is "
                    f"{theirs.get(key)!r} and not {value!r}. Choose another with -o DIR."
                )
    elif to.is_dir() and any(not path.name.startswith(".") for path in to.iterdir()):
        raise CheckpointError(
            f"the folder of a {what} must be new or empty; {to} holds other files. Choose another with -o DIR."
        )


def stem(data: str) -> str:
    """Return what folders are called after: the data's name."""
    path = Path(data)
    return (path.name if path.is_dir() else path.name.partition(".")[0]) or path.resolve().name


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("name", json.dumps(value)))
    return json.dumps(value).replace('"', "").replace(" ", "")
