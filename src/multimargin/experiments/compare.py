"""Compare recipes fairly: the same split, the same users, several seeds, one rule to choose epochs by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from multimargin import checks
from multimargin.errors import CheckpointError
from multimargin.experiments.methods import Method, Source, claim, settle_data, settle_methods, stem
from multimargin.experiments.results import Comparison, gather
from multimargin.experiments.runs import Job, how_many, is_done, run_all
from multimargin.kernels.threads import get_threads
from multimargin.recipes.recipe import Recipe
from multimargin.recipes.run import write_json

FILE = "comparison.json"
"""What a comparison's folder says about itself: everything that every run of it shares."""


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
    methods = settle_methods(recipes, data, protocol, metric, list(overrides), vary or {})
    parts, settings = settle_data(methods, on="test")
    to = Path(folder) if folder is not None else Path("comparisons") / f"{stem(settings['data'])}-{protocol}"
    jobs = [_job(method, seed) for seed in range(seeds) for method in methods]  # seed by seed: early runs tell most
    total = get_threads() if threads is None else checks.positive_int("threads", threads)
    at_once = how_many(len(jobs), total) if at_once is None else checks.positive_int("at_once", at_once)
    claim(to / FILE, settings)
    for job in jobs:
        is_done(job, to / "runs")
    to.mkdir(parents=True, exist_ok=True)
    write_json(to / FILE, settings)
    outcomes = run_all(jobs, to / "runs", at_once=at_once, threads=total, progress=progress)
    failed = [each for each in outcomes if each.ended == "failed"]
    if failed:
        raise CheckpointError(
            f"{failed[0].job.name} must finish to be compared; it ended with: {failed[0].problem} "
            f"{len(jobs) - len(failed)} of {len(jobs)} runs are kept in {to}; change the recipe or leave it out."
        )
    named = {method.name: method.recipe for method in methods}
    runs = {(method.name, seed): to / "runs" / _job(method, seed).name for method in methods for seed in range(seeds)}
    return gather(to, settings, named, runs, parts)


def _job(method: Method, seed: int) -> Job:
    recipe = Recipe(method.recipe.name, {**method.recipe.values, "seed": seed})
    return Job(f"{method.folder}/seed-{seed}", recipe, analyse=True)
