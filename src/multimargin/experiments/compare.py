"""Compare recipes fairly: the same split, the same users, several seeds, one rule to choose epochs by."""

import itertools
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from multimargin import checks
from multimargin.data import catalogue
from multimargin.data.folders import find_parts
from multimargin.errors import CheckpointError, DataError, RecipeError
from multimargin.experiments.results import Comparison, gather
from multimargin.experiments.runs import Job, is_done, run_all
from multimargin.kernels.threads import get_threads
from multimargin.recipes.fit import Parts, read_data, split_data, with_data
from multimargin.recipes.recipe import Recipe
from multimargin.recipes.run import memory_gib, peak_memory_mib, write_json

FILE = "comparison.json"
"""What a comparison's folder says about itself: everything that every run of it shares."""

_LOG = logging.getLogger("multimargin")
_SHARED = ("read", "protocol", "split", "split_seed", "k", "evaluate_users", "metric")
_K = [20, 50]

Source = str | Path | Recipe


@dataclass(frozen=True)
class _Method:
    name: str
    recipe: Recipe  # with its data; its seed is each of the comparison's

    def job(self, seed: int) -> Job:
        folder = re.sub(r"[^\w.=+-]+", "_", self.name)
        recipe = Recipe(self.recipe.name, {**self.recipe.values, "seed": seed})
        return Job(f"{folder}/seed-{seed}", recipe, analyse=True)


def compare(
    recipes: Sequence[Source],
    *,
    data: str | Path | None = None,
    seeds: int = 5,
    protocol: str = "honest",
    metric: str | None = None,
    overrides: Sequence[str] = (),
    vary: Mapping[str, Sequence[Any]] | None = None,
    folder: str | Path | None = None,
    at_once: int | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> Comparison:
    """Run every recipe with every seed and say which is better, and whether that is luck.

    The seed of the training varies: initial weights, order, negatives. The split does not (``split_seed``, 0 unless
    overridden), so that the same users with the same held-out items are asked every time. Split, cut-offs, metric and
    users are the comparison's, for all alike; everything else is each recipe's own.

    Args:
        recipes: shipped names, .yaml files or ``Recipe`` objects, whose names differ.
        data: catalogue name or path; None: what the recipes say, where they agree.
        seeds: how many, 1 or more: 0, 1, ...; more can be added later.
        protocol: "honest", or "paper", which selects on the test data as published tables do.
        metric: what epochs are chosen by and what is tested; None: the recipes', where they agree and ``k`` has its
            cut-off, otherwise NDCG at the first cut-off.
        overrides: ``key=value`` for every recipe; what is not trained takes nothing that is said of training. A split
            stands for all; without one it is the recipes', where they agree and the data suits; otherwise parts are
            taken as they are and a log is split at random per user.
        vary: values for a key, tried with every recipe: ``{"n_negatives": [10, 100, 800]}``.
        folder: where everything goes; None: ``comparisons/<data>-<protocol>``. What is done there is not done again.
        at_once: runs at a time, a process each; None: as many as threads, and as fit into memory.
        threads: to share between them; None: all usable cores. No result depends on it, times do.
        progress: show on stderr what runs and what is done.

    Returns:
        The comparison, whose ``write`` leaves tables and a report in the folder.

    Raises:
        RecipeError, ArgumentError: a recipe cannot be built, or recipes share no way to be compared.
        DataError: the data cannot be read, or not split.
        CheckpointError: the folder holds something else, or a run of it failed.
    """
    seeds = checks.positive_int("seeds", seeds)
    methods = _methods(recipes, data, protocol, metric, list(overrides), vary or {})
    parts, settings = _settle(methods)
    to = Path(folder) if folder is not None else Path("comparisons") / f"{_stem(settings['data'])}-{protocol}"
    jobs = [method.job(seed) for seed in range(seeds) for method in methods]  # seed by seed: early runs tell most
    total = get_threads() if threads is None else checks.positive_int("threads", threads)
    at_once = _how_many(len(jobs), total) if at_once is None else checks.positive_int("at_once", at_once)
    _claim(to, settings, jobs)
    outcomes = run_all(jobs, to / "runs", at_once=at_once, threads=total, progress=progress)
    failed = [each for each in outcomes if each.ended == "failed"]
    if failed:
        raise CheckpointError(
            f"{failed[0].job.name} must finish to be compared; it ended with: {failed[0].problem} "
            f"{len(jobs) - len(failed)} of {len(jobs)} runs are kept in {to}; change the recipe or leave it out."
        )
    named = {method.name: method.recipe for method in methods}
    runs = {(method.name, seed): to / "runs" / method.job(seed).name for method in methods for seed in range(seeds)}
    return gather(to, settings, named, runs, parts)


def _methods(
    recipes: Sequence[Source],
    data: str | Path | None,
    protocol: str,
    metric: str | None,
    overrides: list[str],
    vary: Mapping[str, Sequence[Any]],
) -> list[_Method]:
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
        varied = {key: values for key, values in vary.items() if _concerns(recipe, key)}
        for combination in itertools.product(*varied.values()):
            chosen = dict(zip(varied, combination, strict=True))
            changes = [f"{key}={json.dumps(value)}" for key, value in chosen.items()]
            concerning = [text for text in overrides if _concerns(recipe, text.partition("=")[0])]
            loaded = Recipe.load(dict(recipe.values), [*common, *concerning, *changes])
            name = " ".join([recipe.name, *(f"{key}={_short(value)}" for key, value in chosen.items())])
            methods.append(_Method(name, Recipe(name, loaded.values)))
    for key in ("data", *_SHARED):
        values = [json.dumps(method.recipe.values[key], default=str) for method in methods]
        for method, value in zip(methods, values, strict=True):
            if value != values[0]:
                way_out = "Give --data PATH." if key == "data" else f"Give {key}=VALUE for all of them."
                raise RecipeError(
                    f"{key} must be the same for all; it is {values[0]} for {methods[0].name!r} and {value} for "
                    f"{method.name!r}. {way_out}"
                )
    return methods


def _concerns(recipe: Recipe, key: str) -> bool:
    """Tell whether an override means anything to a recipe: nothing said of training does where nothing is trained."""
    top = key.strip().partition(".")[0]
    return recipe.is_trained or top in _SHARED or recipe.values.get(top, "") is not None


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


def _settle(methods: Sequence[_Method]) -> tuple[Parts, dict[str, Any]]:
    """Build everything once, so that what is wrong is found before anything runs; return the data and what is shared.

    Raises:
        DataError: there is no test data.
    """
    for method in methods:
        method.recipe.build()
    recipe = methods[0].recipe
    parts = split_data(recipe, recipe.strategy(), read_data(recipe))
    if parts.test is None:
        raise DataError("split must set test data aside to compare on; it sets none. Set split.test, or another split.")
    for method in methods[1:]:  # a stopping rule may want validation data
        if parts.select is None and (method.recipe.values["stopping"] or method.recipe.values["schedule"]):
            split_data(method.recipe, method.recipe.strategy(), read_data(method.recipe))
    shared = {key: recipe.values[key] for key in _SHARED}
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


def _claim(to: Path, settings: Mapping[str, Any], jobs: Sequence[Job]) -> None:
    """Make the folder this comparison's, or see that it is.

    Raises:
        CheckpointError: it is another's, or holds other files.
    """
    file = to / FILE
    if to.exists() and not to.is_dir():
        raise CheckpointError(
            f"the folder of a comparison must be a folder; {to} is a file. Choose another with -o DIR."
        )
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
                    f"{to} must be a new folder or this comparison's; it holds another: its {key} is "
                    f"{theirs.get(key)!r} and not {value!r}. Choose another with -o DIR."
                )
    elif to.is_dir() and any(not path.name.startswith(".") for path in to.iterdir()):
        raise CheckpointError(
            f"the folder of a comparison must be new or empty; {to} holds other files. Choose another with -o DIR."
        )
    for job in jobs:
        is_done(job, to / "runs")
    to.mkdir(parents=True, exist_ok=True)
    write_json(file, settings)


def _how_many(n_jobs: int, threads: int) -> int:
    """Return how many runs at a time: no more than threads, nor than fit into memory beside each other."""
    memory, peak = memory_gib(), peak_memory_mib()  # this process has read and split the data, a run does more
    fitting = n_jobs if memory is None or not peak else int(memory * 2**10 / (2 * peak))
    return max(1, min(n_jobs, threads, fitting))


def _stem(data: str) -> str:
    path = Path(data)
    return (path.name if path.is_dir() else path.name.partition(".")[0]) or path.resolve().name


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("name", json.dumps(value)))
    return json.dumps(value).replace('"', "").replace(" ", "")
