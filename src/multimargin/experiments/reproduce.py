"""Run the cells of a published table and put what comes out beside what was published."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from multimargin import checks
from multimargin.data.catalogue import CATALOGUE
from multimargin.data.splits import Split
from multimargin.errors import CheckpointError, DataError
from multimargin.experiments.budgets import BUDGETS, make_data, thinned, within_budget
from multimargin.experiments.cells import Cell, choose, make_cell, tables
from multimargin.experiments.reproduction import Reproduction
from multimargin.experiments.runs import Job, Outcome, how_many, is_done, run_all
from multimargin.kernels.threads import get_threads
from multimargin.recipes.fit import hash_of, read_data
from multimargin.recipes.recipe import PROTOCOLS, Recipe
from multimargin.recipes.run import Run

_LOG = logging.getLogger("multimargin")

Key = tuple[str, str, int]  # cell, protocol, seed


def reproduce(
    table: str,
    *,
    data: str | Path | None = None,
    protocols: Sequence[str] = PROTOCOLS,
    only: Sequence[str] = (),
    budget: str = "full",
    seeds: int = 1,
    folder: str | Path = "reproductions",
    at_once: int | None = None,
    threads: int | None = None,
    command: str | None = None,
    progress: bool = True,
) -> Reproduction:
    """Run every cell of a table in every protocol and compare with the published numbers, where there are any.

    A run belongs to its cell, protocol, budget and seed, not to the table: tables in one folder share their runs. What
    is done is skipped and what was interrupted goes on. Tables are written anew whenever a run has ended.

    Args:
        table: a key of ``experiments.cells.tables()``.
        data: folder of the data set, or one that holds a folder for each (gowalla, yelp2018), those that are missing
            being left out; None: what was fetched. Budget "quick" makes its own.
        protocols: "honest", "paper" or both. Published numbers were made by "paper", which selects on the test data.
        only: cells to run: names, parts of one between dashes ("mml", "mf-ccl-10"), or globs; empty: all.
        budget: "full": as published; "short": 24 epochs with a falling rate; "quick": made-up data, in seconds.
        seeds: trainings of each cell, 1 or more: its own seed, the next, ...
        folder: where runs and tables go: runs/BUDGET/PROTOCOL/CELL/seed-N and TABLE-BUDGET.
        at_once: runs at a time, a process each; None: as many as threads, and as fit into memory.
        threads: to share between them; None: all usable cores. No result depends on it, times do.
        command: what made the tables, for whoever wants to repeat it; None: it is not told.
        progress: show on stderr what runs and what is done.

    Returns:
        What was found. Cells that failed are named in it; the others stand.

    Raises:
        ArgumentError: no such table, cell, protocol or budget.
        DataError: the data is not there, or holds no test part.
        CheckpointError: the folder holds runs of other settings or other data.
    """
    known = tables()
    chosen = known[checks.choice("table", table, tuple(known))]
    checks.choice("budget", budget, tuple(BUDGETS))
    if not protocols:
        checks.fail("protocols", "hold at least one protocol", list(protocols))
    for protocol in protocols:
        checks.choice("protocol", protocol, PROTOCOLS)
    seeds = checks.positive_int("seeds", seeds)
    cells = [make_cell(name) for name in choose(chosen.cells, only)]
    to = Path(folder)
    if budget == "quick":
        if data is not None:
            checks.fail("data", "be left out: budget quick makes its own", str(data))
        cells = thinned(cells)
        where: Mapping[str, str | Path] = dict.fromkeys(_data_sets(cells), make_data(to.absolute() / "made-up-data"))
    else:
        where = _places(data, _data_sets(cells))
    cells = [cell for cell in cells if cell.data in where]
    recipes = {
        (cell.name, protocol, seed): within_budget(cell, budget, protocol, seed, where[cell.data])
        for seed in range(seeds)  # seed by seed: early runs tell most
        for cell in cells
        for protocol in protocols
    }
    about = {name: _about(name, where[name], cells, recipes) for name in where}
    jobs = {key: Job("/".join([budget, key[1], key[0], f"seed-{key[2]}"]), recipe) for key, recipe in recipes.items()}
    _check(jobs, to / "runs", about)
    total = get_threads() if threads is None else checks.positive_int("threads", threads)
    at_once = how_many(len(jobs), total) if at_once is None else checks.positive_int("at_once", at_once)
    failed: dict[str, str] = {}

    def found() -> Reproduction:
        runs = {key: Run(to / "runs" / job.name) for key, job in jobs.items() if _finished(job, to / "runs")}
        return Reproduction(
            to / f"{table}-{budget}", replace(chosen, cells=tuple(cell.name for cell in cells)), budget,
            tuple(protocols), seeds, {cell.name: cell for cell in cells}, about, recipes, runs, dict(failed), command,
        )  # fmt: skip

    def after(outcome: Outcome) -> None:
        if outcome.ended == "failed":
            failed[outcome.job.name] = str(outcome.problem)
        if outcome.ended != "skipped":
            found().write()

    run_all(list(jobs.values()), to / "runs", at_once=at_once, threads=total, after=after, progress=progress)
    result = found()
    result.write()
    return result


def _data_sets(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.data for cell in cells))


def _places(data: str | Path | None, names: Sequence[str]) -> dict[str, str | Path]:
    """Return where the data sets lie, those that are there."""
    if data is None:
        return {name: name for name in names}
    path = Path(data).absolute()
    inside: dict[str, str | Path] = {name: path / name for name in names if (path / name).is_dir()}
    if inside:
        for name in names:
            if name not in inside:
                _LOG.warning("%s holds no folder %s: its cells are left out", path, name)
        return inside
    if path.is_dir() and (path.name in names or len(names) == 1):
        name = path.name if path.name in names else names[0]
        left_out = [each for each in names if each != name]
        if left_out:
            _LOG.warning("%s is taken for %s: cells of %s are left out", path, name, ", ".join(left_out))
        return {name: path}
    raise DataError(
        f"data must be a folder of {' or '.join(names)}, or one that holds such folders; got {path}. "
        f"Get it with: multimargin data fetch {names[0]}"
    )


def _about(name: str, where: str | Path, cells: Sequence[Cell], recipes: Mapping[Key, Recipe]) -> dict[str, Any]:
    """Build every recipe and read the data once, so that what is wrong is found before anything runs."""
    mine = {cell.name for cell in cells if cell.data == name}
    theirs = [recipe for (cell, _, _), recipe in recipes.items() if cell in mine]
    for recipe in theirs:
        recipe.build()
    split = read_data(theirs[0])
    assert isinstance(split, Split)  # every cell takes the parts as they are given
    entry = CATALOGUE[name]
    sizes = {part: len(rows) for part, rows in split.parts.items()}
    if "test" not in sizes:
        raise DataError(f"{where} must hold a test part; it holds {', '.join(sizes)}. Give another --data PATH.")
    published = {"train": entry.n_train, "test": entry.n_test}
    return {
        "data": str(where),
        "data_hash": hash_of(split),
        "users": split.n_users,
        "items": split.n_items,
        "interactions": sizes,
        # the split that the published numbers are of; nothing else may be compared with them
        "published_split": (split.n_users, split.n_items, sizes) == (entry.n_users, entry.n_items, published),
    }


def _check(jobs: Mapping[Key, Job], folder: Path, about: Mapping[str, Mapping[str, Any]]) -> None:
    """See that what lies in the folder was made by the same recipes on the same data."""
    for (cell, _, _), job in jobs.items():
        is_done(job, folder)
        info = folder / job.name / "info.json"
        if info.exists():
            theirs = json.loads(info.read_text(encoding="utf-8")).get("data_hash")
            if theirs != about[cell.partition("-")[0]]["data_hash"]:
                raise CheckpointError(
                    f"{info.parent} must be a run on the same data; its data_hash is another. Choose another with "
                    "-o DIR."
                )


def _finished(job: Job, folder: Path) -> bool:
    return is_done(job, folder) and (folder / job.name / "per-user.parquet").exists()
