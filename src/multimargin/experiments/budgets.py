"""What a reproduction may cost: the published epochs, a short run of each cell, or made-up data for a test."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from multimargin.data.interactions import Interactions
from multimargin.data.splits import RandomPerUser
from multimargin.data.synthetic import make_synthetic
from multimargin.experiments.cells import Cell
from multimargin.recipes.recipe import Recipe
from multimargin.recipes.run import write_text

BUDGETS: Mapping[str, str] = {
    "full": "full: epochs, early stopping and rates as in each cell's settings",
    "short": "short: 24 epochs in which a raised rate falls as half a cosine, no early stopping, evaluated every sixth",
    "quick": "quick: made-up data, two epochs of tiny models; the numbers mean nothing",
}

_SHORT = ["epochs=24", "decay=cosine", "stopping=null", "schedule=null", "evaluate_every=6"]
_QUICK = [
    "epochs=2", "decay=null", "stopping=null", "schedule=null", "evaluate_every=1", "encoder.embedding_dim=8",
    "learning_rate=0.01",
]  # fmt: skip
_HIGHEST_RATE = 1e-3
_LONG = 100  # epochs; who was trained for longer needs a higher rate to be done in 24


def thinned(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells of the first data set, of each encoder and loss two: what budget "quick" runs."""
    found: list[Cell] = []
    for cell in cells:
        alike = [each for each in found if (each.encoder, each.loss) == (cell.encoder, cell.loss)]
        if cell.data == cells[0].data and len(alike) < 2:
            found.append(cell)
    return found


def within_budget(cell: Cell, budget: str, protocol: str, seed: int, data: str | Path) -> Recipe:
    """Return what is run for a cell.

    Args:
        cell: which.
        budget: a key of ``BUDGETS``.
        protocol: "honest" or "paper".
        seed: added to the cell's own; the split does not depend on it.
        data: where the cell's data lies.
    """
    values = cell.recipe.values
    changes = [
        f"protocol={protocol}", "split_seed=0", "k=[20,50]", f"seed={values['seed'] + seed}",
        f"data={json.dumps(str(data))}",
    ]  # fmt: skip
    if cell.recipe.is_trained and budget == "short":
        changes += [*_SHORT, f"learning_rate={short_rate(values['learning_rate'], values['epochs'])}"]
    if budget == "quick":
        changes += _QUICK if cell.recipe.is_trained else []
    return Recipe(cell.name, Recipe.load(dict(values), changes).values)


def short_rate(rate: float, epochs: int) -> float:
    """Return the rate of a short run: three times the published one, ten times for more than 100 epochs, up to 1e-3.

    The factor three is ``gowalla-fast``'s; where the published rate is above 1e-3, it stays.

    Example:
        >>> short_rate(1e-4, 100), short_rate(1e-4, 1000), short_rate(1e-3, 500)
        (0.0003, 0.001, 0.001)
    """
    raised = rate * (3 if epochs <= _LONG else 10)
    return float(f"{max(rate, min(raised, _HIGHEST_RATE)):.6g}")


def deviations(cell: Cell, run: Recipe) -> list[str]:
    """Return where a run departs from its cell's settings, as "epochs 24 for 100"; protocol and seed left out."""
    found = []
    for key, after in run.values.items():
        before = cell.recipe.values[key]
        if key in ("protocol", "split_seed", "seed", "data", "k") or before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            inner = [name for name in after if before.get(name) != after[name]]
            found += [f"{key}.{name} {_shown(after[name])} for {_shown(before.get(name))}" for name in inner]
        else:
            found.append(f"{key} {_shown(after)} for {_shown(before)}")
    return found


def make_data(folder: Path) -> Path:
    """Write a small made-up data set, train.txt and test.txt, into ``folder`` and return it; what is there stays."""
    if not (folder / "test.txt").exists():
        split = RandomPerUser(valid=0.0, test=0.2).split(
            make_synthetic(300, 400, mean_interactions=25.0, rng=0).interactions, rng=0
        )
        assert split.test is not None
        folder.mkdir(parents=True, exist_ok=True)
        for name, part in (("train", split.train), ("test", split.test)):
            write_text(folder / f"{name}.txt", "".join(_lines(part)))
    return folder


def _lines(part: Interactions) -> list[str]:
    rows = [part.indices[first:end] for first, end in zip(part.indptr[:-1], part.indptr[1:], strict=True)]
    return [" ".join(map(str, np.concatenate(([user], row)))) + "\n" for user, row in enumerate(rows) if len(row)]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_shown(each)}" for key, each in value.items()) + ")"
    return "none" if value is None else json.dumps(value).replace('"', "")
