"""What a reproduction found: each cell's numbers beside the published ones, and what MML gains; as tables."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin.errors import CheckpointError
from multimargin.experiments.budgets import BUDGETS, deviations
from multimargin.experiments.cells import Cell, Table
from multimargin.experiments.published import published
from multimargin.experiments.significance import LEVEL, compare_pair, holm, interval
from multimargin.recipes.recipe import Recipe
from multimargin.recipes.run import Run, write_json, write_text
from multimargin.recommend import write_frames
from multimargin.rng import Streams

METRIC = "Recall@20"
"""What gains are told in, the metric that the published runs choose their epoch by."""


@dataclass(frozen=True, eq=False)
class Reproduction:
    """Cells of a published table, run here.

    Args:
        folder: where ``write`` puts the tables.
        table: what was asked for, with the cells that were chosen.
        budget: "full", "short" or "quick".
        protocols: those asked for.
        seeds: how many trainings of each cell were asked for.
        cells: name -> cell.
        data: data set -> where, hash, sizes, and whether it is the split that is published.
        recipes: (cell, protocol, seed) -> what is run.
        runs: the same -> finished run.
        failed: run -> what went wrong.
        command: what made it, or None.
    """

    folder: Path
    table: Table
    budget: str
    protocols: tuple[str, ...]
    seeds: int
    cells: Mapping[str, Cell] = field(repr=False)
    data: Mapping[str, Mapping[str, Any]] = field(repr=False)
    recipes: Mapping[tuple[str, str, int], Recipe] = field(repr=False)
    runs: Mapping[tuple[str, str, int], Run] = field(repr=False)
    failed: Mapping[str, str]
    command: str | None = None

    @cached_property
    def results(self) -> pl.DataFrame:
        """One row per cell, protocol and metric, of the cells that have finished runs.

        ``difference`` is ours less the published number; it is null where there is none, or where the data is another
        split. Intervals are over seeds, null with one.
        """
        rows: list[dict[str, Any]] = []
        for name, cell in self.cells.items():
            known = published().get(name, ())
            for protocol in self.protocols:
                runs = self._finished(name, protocol)
                values = [run.evaluation() for run in runs]
                metrics = [key for key in (values[0] if values else ()) if "@" in key]
                for metric in metrics:
                    mine = interval(np.array([float(each[metric]) for each in values]))
                    theirs = known[0].metrics.get(metric) if known else None
                    comparable = theirs is not None and self.data[cell.data]["published_split"]
                    rows.append(
                        {
                            "cell": name,
                            "data": cell.data,
                            "encoder": cell.encoder,
                            "loss": cell.loss,
                            "n_negatives": str(cell.n_negatives),
                            "protocol": protocol,
                            "budget": self.budget,
                            "metric": metric,
                            "mean": mine.mean,
                            "low": mine.low,
                            "high": mine.high,
                            "seeds": len(runs),
                            "published": theirs,
                            "published_protocol": known[0].protocol if theirs is not None else None,
                            "difference": mine.mean - theirs if comparable and theirs is not None else None,
                            "source": known[0].source if theirs is not None else None,
                            **_cost(runs),
                        }
                    )
        return pl.DataFrame(rows, schema=_RESULTS, orient="row").fill_nan(None)

    @cached_property
    def gains(self) -> pl.DataFrame:
        """What MML has more than each other loss at the same data, encoder, N and protocol, in Recall@20.

        p is over users and seeds (with one seed over users alone), corrected by Holm over the rows of a protocol.
        """
        rows: list[dict[str, Any]] = []
        for number, (name, cell) in enumerate(self.cells.items()):
            partner = f"{cell.data}-{cell.encoder}-mml-{cell.n_negatives}"
            if cell.loss == "mml" or partner not in self.cells:
                continue
            for protocol in self.protocols:
                mine, theirs = self._per_user(partner, protocol), self._per_user(name, protocol)
                if mine is None or theirs is None or mine.shape != theirs.shape:
                    continue
                rng = Streams(0).generator("signs", number)
                found = compare_pair(mine, theirs, rng=rng, draws=0)
                base = float(theirs.mean())
                rows.append(
                    {
                        "data": cell.data,
                        "encoder": cell.encoder,
                        "n_negatives": cell.n_negatives,
                        "protocol": protocol,
                        "budget": self.budget,
                        "other": cell.loss,
                        "metric": METRIC,
                        "difference": found.difference.mean,
                        "low": found.difference.low,
                        "high": found.difference.high,
                        "percent": 100 * found.difference.mean / base if base else None,
                        "p": found.p,
                    }
                )
        for protocol in self.protocols:
            of_it = [row for row in rows if row["protocol"] == protocol]
            for row, p in zip(of_it, holm(np.array([row["p"] for row in of_it])), strict=True):
                row["p"] = float(p)
        return pl.DataFrame(rows, schema=_GAINS, orient="row").fill_nan(None)

    @cached_property
    def deviations(self) -> dict[str, list[str]]:
        """Cell -> where its runs depart from its settings, beside the protocol."""
        found: dict[str, list[str]] = {}
        for (name, _, _), recipe in self.recipes.items():
            found.setdefault(name, deviations(self.cells[name], recipe))
        return found

    @cached_property
    def notes(self) -> list[str]:
        """What a reader should know."""
        notes = [f"Budget {BUDGETS[self.budget]}."]
        for name, about in self.data.items():
            if not about["published_split"]:
                what = "is made up" if self.budget == "quick" else "is not the published split"
                notes.append(f"The data of {name} {what}: no difference from a published number is told.")
        if self.seeds == 1:
            notes.append("One seed: tests are over users alone, and say which of two trained models is better.")
        else:
            notes.append(f"{self.seeds} seeds: tests are over users and seeds.")
        missing = [f"{cell}, {protocol}" for cell in self.cells for protocol in self._unfinished(cell)]
        if missing:
            notes.append(f"Not run to the end yet, and not shown: {'; '.join(missing)}.")
        return notes + [f"Failed: {name}: {problem}" for name, problem in self.failed.items()]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, every row with its protocol and budget."""
        return {
            "table": self.table.name,
            "description": self.table.description,
            "protocols": list(self.protocols),
            "budget": self.budget,
            "level": LEVEL,
            "seeds": self.seeds,
            "data": {name: dict(about) for name, about in self.data.items()},
            "cells": {
                name: {
                    "settings": dict(cell.recipe.values),
                    "remark": cell.remark,
                    "differs": self.deviations[name],
                    "published": [
                        {"metrics": dict(each.metrics), "protocol": each.protocol, "source": each.source}
                        for each in published().get(name, ())
                    ],
                }
                for name, cell in self.cells.items()
            },
            "results": self.results.to_dicts(),
            "gains": self.gains.to_dicts(),
            "failed": dict(self.failed),
            "notes": self.notes,
        }

    def write(self) -> dict[str, Path]:
        """Write results.md, results.csv, gains.csv and results.json into the folder.

        Returns:
            The files, by what they are.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        files = {
            "markdown": self.folder / "results.md",
            "csv": self.folder / "results.csv",
            "gains": self.folder / "gains.csv",
            "json": self.folder / "results.json",
        }
        write_text(files["markdown"], str(self) + "\n")
        write_json(files["json"], json.loads(json.dumps({**self.to_dict(), "command": self.command}, default=str)))
        write_frames(files["csv"], [self.results])
        write_frames(files["gains"], [self.gains])
        return files

    def __str__(self) -> str:
        from multimargin.experiments.reproduction_tables import markdown

        return markdown(self)

    def _finished(self, cell: str, protocol: str) -> list[Run]:
        keys = ((cell, protocol, seed) for seed in range(self.seeds))
        return [self.runs[key] for key in keys if key in self.runs]

    def _unfinished(self, cell: str) -> list[str]:
        return [protocol for protocol in self.protocols if len(self._finished(cell, protocol)) < self.seeds]

    def _per_user(self, cell: str, protocol: str) -> NDArray[np.float64] | None:
        """Return (S, U) Recall@20 of each user, None where a seed has not finished."""
        runs = self._finished(cell, protocol)
        if len(runs) < self.seeds:
            return None
        frames = [run.per_user() for run in runs]
        for run, frame in zip(runs, frames, strict=True):
            if not frame["user_id"].equals(frames[0]["user_id"]):
                raise CheckpointError(f"{run.path} must hold the same users as the other seeds. Delete it.")
        return np.stack([frame[METRIC].to_numpy() for frame in frames])


def _cost(runs: list[Run]) -> dict[str, Any]:
    """Return means over runs of epochs and times."""
    infos = [run.info() for run in runs]
    seconds = [float(row.get("train_seconds", 0)) for run in runs for row in run.history()]
    best = [info["best_epoch"] for info in infos if info.get("best_epoch") is not None]
    return {
        "epochs": float(np.mean([info["epochs"] for info in infos])),
        "best_epoch": float(np.mean(best)) if best else None,
        "seconds_per_epoch": float(np.median(seconds)) if seconds else None,
        "training_seconds": float(np.mean([info["training_seconds"] for info in infos])),
    }


_RESULTS = {
    **dict.fromkeys(("cell", "data", "encoder", "loss", "n_negatives", "protocol", "budget", "metric"), pl.String),
    **dict.fromkeys(("mean", "low", "high"), pl.Float64),
    "seeds": pl.Int64,
    "published": pl.Float64,
    "published_protocol": pl.String,
    "difference": pl.Float64,
    "source": pl.String,
    **dict.fromkeys(("epochs", "best_epoch", "seconds_per_epoch", "training_seconds"), pl.Float64),
}
_GAINS = {
    "data": pl.String,
    "encoder": pl.String,
    "n_negatives": pl.Int64,
    **dict.fromkeys(("protocol", "budget", "other", "metric"), pl.String),
    **dict.fromkeys(("difference", "low", "high", "percent", "p"), pl.Float64),
}
