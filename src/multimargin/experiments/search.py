"""Search recipes' settings: every recipe with the same number of trials and epochs, on validation data alone."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from multimargin import checks
from multimargin.errors import RecipeError
from multimargin.experiments.findings import Search
from multimargin.experiments.methods import Method, Source, claim, settle_data, settle_methods, stem
from multimargin.experiments.runs import Job, Outcome, how_many, run_all
from multimargin.experiments.space import Space, has_key, read_asked
from multimargin.experiments.study import Study, require_optuna
from multimargin.kernels.threads import get_threads
from multimargin.recipes.recipe import Recipe
from multimargin.recipes.run import write_json

FILE = "search.json"
"""What a search's folder says about itself: everything that all of its recipes share."""

_STUDY = "study.json"


def search(
    recipes: Sequence[Source],
    *,
    data: str | Path | None = None,
    trials: int = 30,
    metric: str | None = None,
    overrides: Sequence[str] = (),
    ranges: Sequence[str] = (),
    folder: str | Path | None = None,
    at_once: int | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> Search:
    """Try settings of every recipe and say how far each comes on validation data, and with which.

    The first trial is the recipe as it is. Further ones are drawn from ranges that its loss, sampler, encoder and
    optimiser declare beside their constructors, at first at random, then by Optuna's TPE. A trial that falls behind the
    median of those before at the same epoch is given up. Test data is never looked at.

    Args:
        recipes: shipped names, .yaml files or ``Recipe`` objects, whose names differ.
        data: catalogue name or path; None: what the recipes say, where they agree.
        trials: of each recipe, 1 or more; more can be added later.
        metric: what trials are judged by; None: the recipes', where they agree and ``k`` has its cut-off, otherwise
            NDCG at the first cut-off.
        overrides: ``key=value`` for every recipe, as in ``compare``; what is given is not searched. Epochs must be the
            same for all that is trained.
        ranges: ``"key=low:high"``, ``"key=low:high:log"`` or ``"key=a,b,c"``, for each recipe that has the key; in
            place of what is declared, or besides. A declared range without the recipe's own value is not searched.
        folder: where everything goes; None: ``searches/<data>``. What is done there is not done again.
        at_once: recipes at a time, a process each; None: as many as there are, as threads, and as fit into memory.
            Trials of one recipe follow one another, for each learns from those before.
        threads: to share between them; None: all usable cores. No result depends on either.
        progress: show on stderr what runs and what is done.

    Returns:
        What was found; its best recipes are files in the folder already.

    Raises:
        RecipeError, ArgumentError: a recipe or range cannot be built, recipes share no way to be searched, the protocol
            is "paper", or Optuna is not installed.
        DataError: the data cannot be read, or the split sets no validation data aside.
        CheckpointError: the folder holds something else, or the recipe as it is fails.
    """
    trials = checks.positive_int("trials", trials)
    require_optuna()
    methods = _methods(recipes, data, metric, list(overrides))
    spaces = _spaces(methods, ranges, overrides)
    _, settings = settle_data(methods, on="validation")
    settings["epochs"] = max(int(each.recipe.values["epochs"] or 1) for each in methods)
    to = Path(folder) if folder is not None else Path("searches") / stem(settings["data"])
    total = get_threads() if threads is None else checks.positive_int("threads", threads)
    at_once = how_many(len(methods), total) if at_once is None else checks.positive_int("at_once", at_once)
    claim(to / FILE, settings)
    studies = {
        method.name: Study(space, to / method.folder, trials) for method, space in zip(methods, spaces, strict=True)
    }
    for study in studies.values():
        _claim(study)
    write_json(to / FILE, settings)
    found = Search(to, settings, studies)
    queue = _Queue(found)
    run_all(
        queue,
        to,
        at_once=min(at_once, len(methods)),
        threads=total,
        watch=queue.watch,
        after=queue.after,
        progress=progress,
    )
    found.write()
    return found


class _Queue:
    """The trials of all studies, one of each at a time."""

    def __init__(self, found: Search):
        self._found = found
        self._of = {study.folder.name: study for study in found.studies.values()}

    def __iter__(self) -> Iterator[Job | None]:
        for study in self._of.values():
            study.load()
        while not all(study.is_done for study in self._of.values()):
            yield next(filter(None, (study.next_job() for study in self._of.values())), None)

    def watch(self, job: Job, row: Any) -> bool:
        return self._study(job).goes_on(row)

    def after(self, outcome: Outcome) -> None:
        study = self._study(outcome.job)
        best = study.best
        study.ended(outcome)
        if study.best is not best:
            self._found.write_best(study)

    def _study(self, job: Job) -> Study:
        return self._of[job.name.partition("/")[0]]


def _methods(
    recipes: Sequence[Source], data: str | Path | None, metric: str | None, overrides: list[str]
) -> list[Method]:
    """Return the recipes with what all share; their epochs are the same."""
    for text in overrides:
        key, _, value = text.partition("=")
        if key.strip() == "protocol" and value.strip() != "honest":
            raise RecipeError(
                f"protocol must be honest in a search; got {value.strip()!r}. Settings chosen on the test data would "
                "be told on it: leave protocol out."
            )
    methods = settle_methods(recipes, data, "honest", metric, overrides, {})
    trained = [each for each in methods if each.recipe.is_trained]
    for method in trained[1:]:
        epochs, first = method.recipe.values["epochs"], trained[0].recipe.values["epochs"]
        if epochs != first:
            raise RecipeError(
                f"epochs must be the same for all, so that budgets are; it is {first} for {trained[0].name!r} and "
                f"{epochs} for {method.name!r}. Give epochs=VALUE."
            )
    return methods


def _spaces(methods: Sequence[Method], ranges: Sequence[str], overrides: Sequence[str]) -> list[Space]:
    """Return what is varied of each recipe.

    Raises:
        RecipeError: a range asked for concerns none of them.
    """
    asked = dict(read_asked(text) for text in ranges)
    for key in asked:
        if not any(has_key(method.recipe, key) for method in methods):
            Recipe.load(dict(methods[0].recipe.values), [f"{key}=null"])  # an unknown key names the nearest
            raise RecipeError(f"--range {key} must be a value that a recipe has; none does.")
    fixed = {text.partition("=")[0].strip() for text in overrides}
    return [
        Space.of(method.recipe, {key: text for key, text in asked.items() if has_key(method.recipe, key)}, fixed)
        for method in methods
    ]


def _claim(study: Study) -> None:
    """Make a study's folder this recipe's with these ranges, or see that it is.

    Raises:
        CheckpointError: it is another's.
    """
    values = {key: value for key, value in study.space.recipe.values.items() if key not in ("data", "device")}
    settings = json.loads(json.dumps({**values, "ranges": study.space.to_dict()}, default=str))
    claim(study.folder / _STUDY, settings)
    study.folder.mkdir(parents=True, exist_ok=True)
    write_json(study.folder / _STUDY, settings)
