"""What a comparison found: means and intervals, tests between pairs, costs, users of different history; as tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin.errors import CheckpointError
from multimargin.experiments.runs import ANALYSIS
from multimargin.experiments.significance import FLIPS, LEVEL, PairedTest, compare_pair, holm, interval
from multimargin.recipes.fit import Parts
from multimargin.recipes.recipe import Recipe
from multimargin.recipes.run import Run, write_json, write_text
from multimargin.recommend import write_frames
from multimargin.rng import Streams

N_GROUPS = 4
"""Groups of users by the length of their history, each with about as many users."""

_P = ("p_users", "p_flips", "p_seeds", "p")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods measured on the same users, each with several seeds.

    Args:
        folder: where the runs lie, and where ``write`` puts tables and report.
        settings: what all runs share: data, its hashes and sizes, protocol, split, cut-offs, metric.
        recipes: method -> its recipe; what was asked for, in that order.
        seeds: of the trainings.
        runs: (method, seed) -> run folder.
        users: (U,) how many training interactions each evaluated user has.
        values: metric -> (M, S, U) float64, for each method, seed and user.
    """

    folder: Path
    settings: Mapping[str, Any]
    recipes: Mapping[str, Recipe] = field(repr=False)
    seeds: Sequence[int]
    runs: Mapping[tuple[str, int], Run] = field(repr=False)
    users: NDArray[np.int64] = field(repr=False)
    values: Mapping[str, NDArray[np.float64]] = field(repr=False)

    @property
    def methods(self) -> list[str]:
        """What was compared."""
        return list(self.recipes)

    @property
    def protocol(self) -> str:
        """What goes with every number: "honest", or "paper" where epochs were chosen on the test data."""
        return str(self.settings["protocol"])

    @property
    def metric(self) -> str:
        """What epochs were chosen by, and what is tested."""
        return str(self.settings["metric"])

    @cached_property
    def summary(self) -> pl.DataFrame:
        """Every metric of every method: mean, 95 % interval over seeds and over users, standard deviation over seeds.

        With one seed there is no interval over seeds; columns hold null then.
        """
        rows = []
        for number, method in enumerate(self.methods):
            for metric, values in self.values.items():
                of_seeds, of_users = interval(values[number].mean(1)), interval(values[number].mean(0))
                rows.append(
                    {
                        "method": method,
                        "metric": metric,
                        "protocol": self.protocol,
                        "mean": of_seeds.mean,
                        "low": of_seeds.low,
                        "high": of_seeds.high,
                        "deviation": values[number].mean(1).std(ddof=1) if len(self.seeds) > 1 else float("nan"),
                        "low_over_users": of_users.low,
                        "high_over_users": of_users.high,
                        "seeds": len(self.seeds),
                        "users": len(self.users),
                    }
                )
        return pl.DataFrame(rows).fill_nan(None)

    @cached_property
    def pairs(self) -> pl.DataFrame:
        """Every pair of methods in every metric: the difference and how likely luck makes one as large.

        Every p is corrected by Holm over the pairs of its metric; ``better`` is null where p is not below the level.
        Signs are flipped for ``metric`` alone.
        """
        rows: list[dict[str, Any]] = []
        for metric in self._metrics_first():
            values, tests = self.values[metric], list[dict[str, Any]]()
            for one in range(len(self.methods)):
                for other in range(one + 1, len(self.methods)):
                    rng = Streams(0).generator("signs", one * len(self.methods) + other)
                    draws = FLIPS if metric == self.metric else 0
                    found = compare_pair(values[one], values[other], rng=rng, draws=draws)
                    tests.append(self._row(metric, one, other, found))
            for name in _P:
                corrected = holm(np.array([row[name] for row in tests]))
                for row, p in zip(tests, corrected, strict=True):
                    row[name] = float(p)
            for row in tests:
                row["better"] = _better(row)
            rows += tests
        return pl.DataFrame(rows, schema=_PAIRS, orient="row").fill_nan(None)

    @cached_property
    def costs(self) -> pl.DataFrame:
        """What each method took: means over its runs, the most memory of any of them."""
        rows = []
        for method in self.methods:
            costs = [self._cost(self.runs[method, seed]) for seed in self.seeds]
            row: dict[str, Any] = {"method": method}
            for name in costs[0]:
                found = [cost[name] for cost in costs if cost[name] is not None]
                of = max if name == "peak_memory_mib" else np.mean
                row[name] = float(of(found)) if found else None
            rows.append(row)
        types = {name: pl.Float64 for name in rows[0] if name != "method"}
        return pl.DataFrame(rows, schema={"method": pl.String, **types})

    @cached_property
    def per_run(self) -> pl.DataFrame:
        """One row per run: its numbers and what it took."""
        rows = []
        for (method, seed), run in self.runs.items():
            place = self.methods.index(method), list(self.seeds).index(seed)
            metrics = {name: float(values[place].mean()) for name, values in self.values.items()}
            where = {"method": method, "seed": seed, "protocol": self.protocol}
            rows.append({**where, **metrics, **self._cost(run), "run": str(run.path.relative_to(self.folder))})
        return pl.DataFrame(rows, infer_schema_length=None)

    @cached_property
    def groups(self) -> pl.DataFrame:
        """The chosen metric for users with few and with many training interactions, with 95 % intervals over users."""
        lengths, which, n_users = np.unique(self.users, return_inverse=True, return_counts=True)
        middle = (np.cumsum(n_users) - n_users / 2) / len(self.users)  # users of one length stay together
        group = np.minimum((N_GROUPS * middle).astype(np.int64), N_GROUPS - 1)[which]
        rows = []
        for number in np.unique(group):
            chosen = group == number
            low, high = (int(each) for each in lengths[np.unique(which[chosen])[[0, -1]]])
            for place, method in enumerate(self.methods):
                found = interval(self.values[self.metric][place][:, chosen].mean(0))
                rows.append(
                    {
                        "interactions": f"{low}" if low == high else f"{low} to {high}",
                        "users": int(chosen.sum()),
                        "method": method,
                        "metric": self.metric,
                        "protocol": self.protocol,
                        "mean": found.mean,
                        "low": found.low,
                        "high": found.high,
                    }
                )
        return pl.DataFrame(rows).fill_nan(None)

    @cached_property
    def analyses(self) -> dict[str, dict[str, Any]]:
        """How the scores of each method's first seed are spread, and how popular its lists are."""
        first = {method: self.runs[method, self.seeds[0]].path / ANALYSIS for method in self.methods}
        return {method: json.loads(file.read_text(encoding="utf-8")) for method, file in first.items() if file.exists()}

    @cached_property
    def notes(self) -> list[str]:
        """What a reader should know."""
        described = {
            "honest": "epochs were chosen on validation data; test data was read once, at the end.",
            "paper": "epochs were chosen on the test data, as published tables do. Numbers are too high by what that "
            "gains, and compare with such tables only.",
        }
        notes = [f"Protocol {self.protocol}: {described[self.protocol]}"]
        if len(self.seeds) == 1:
            notes.append(
                "One seed: tests are over users alone, and say which of these trained models is better, not which "
                "method."
            )
        found = [note for run in self.runs.values() for note in run.evaluation().get("notes", [])]
        return notes + list(dict.fromkeys(found))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, every table with its protocol."""
        return {
            "protocol": self.protocol,
            "metric": self.metric,
            "level": LEVEL,
            "settings": dict(self.settings),
            "seeds": list(self.seeds),
            "methods": {name: dict(recipe.values) for name, recipe in self.recipes.items()},
            "summary": self.summary.to_dicts(),
            "pairs": self.pairs.to_dicts(),
            "costs": self.costs.to_dicts(),
            "runs": self.per_run.to_dicts(),
            "groups": self.groups.to_dicts(),
            "popularity": {name: each["popularity"] for name, each in self.analyses.items()},
            "notes": self.notes,
        }

    def write(self, *, command: str | None = None) -> dict[str, Path]:
        """Write results.md, .csv and .json, pairs.csv, runs.csv and report.html into the folder.

        Args:
            command: what made them, for whoever wants to repeat it.

        Returns:
            The files, by what they are.
        """
        from multimargin.experiments.report import html_report
        from multimargin.experiments.tables import markdown

        files = {
            "markdown": self.folder / "results.md",
            "csv": self.folder / "results.csv",
            "pairs": self.folder / "pairs.csv",
            "runs": self.folder / "runs.csv",
            "json": self.folder / "results.json",
            "report": self.folder / "report.html",
        }
        write_text(files["markdown"], markdown(self, command=command) + "\n")
        write_json(files["json"], json.loads(json.dumps({**self.to_dict(), "command": command}, default=str)))
        write_frames(files["csv"], [self.summary])
        write_frames(files["pairs"], [self.pairs])
        write_frames(files["runs"], [self.per_run])
        write_text(files["report"], html_report(self, command=command))
        return files

    def __str__(self) -> str:
        from multimargin.experiments.tables import markdown

        return markdown(self)

    def _metrics_first(self) -> list[str]:
        return [self.metric, *(each for each in self.values if each != self.metric)]

    def _row(self, metric: str, one: int, other: int, found: PairedTest) -> dict[str, Any]:
        base = self.values[metric][other].mean()
        return {
            "metric": metric,
            "protocol": self.protocol,
            "first": self.methods[one],
            "second": self.methods[other],
            "difference": found.difference.mean,
            "low": found.difference.low,
            "high": found.difference.high,
            "percent": 100 * found.difference.mean / base if base else float("nan"),
            "wins": found.wins,
            "losses": found.losses,
            **{name: getattr(found, name) for name in _P},
        }

    @staticmethod
    def _cost(run: Run) -> dict[str, Any]:
        info, history = run.info(), run.history()
        seconds = [float(row.get("train_seconds", 0)) for row in history]
        best = info.get("best_epoch")
        return {
            "parameters": info.get("parameters"),
            "epochs": info.get("epochs"),
            "best_epoch": best,
            "seconds_per_epoch": float(np.median(seconds)) if seconds else None,
            "seconds_to_best": sum(seconds[:best]) if seconds and best is not None else None,
            "training_seconds": info.get("training_seconds"),
            "peak_memory_mib": info.get("peak_memory_mib"),
        }


_PAIRS = {
    "metric": pl.String,
    "protocol": pl.String,
    "first": pl.String,
    "second": pl.String,
    **dict.fromkeys(("difference", "low", "high", "percent", "wins", "losses", *_P), pl.Float64),
    "better": pl.String,
}


def gather(
    folder: Path,
    settings: Mapping[str, Any],
    recipes: Mapping[str, Recipe],
    runs: Mapping[tuple[str, int], Path],
    parts: Parts,
) -> Comparison:
    """Read what finished runs left, and see that they were measured alike.

    Args:
        folder: the comparison's.
        settings: what all share.
        recipes: method -> recipe.
        runs: (method, seed) -> run folder, for every method and the same seeds.
        parts: the data, as all of them split it.

    Raises:
        CheckpointError: a run was made on other data, another split or other users.
    """
    seeds = list(dict.fromkeys(seed for _, seed in runs))
    opened = {key: Run(path) for key, path in runs.items()}
    ids: pl.Series | None = None
    frames = []
    for run in opened.values():
        info, frame = run.info(), run.per_user()
        for key in ("data_hash", "split_hash", "protocol"):
            if info.get(key) != settings[key]:
                raise CheckpointError(f"{run.path} must be a run of this comparison; its {key} is another. Delete it.")
        ids = frame["user_id"] if ids is None else ids
        if not ids.equals(frame["user_id"]):
            raise CheckpointError(f"{run.path} must hold the users of this comparison; it holds others. Delete it.")
        frames.append(frame)
    assert ids is not None
    shape = (len(recipes), len(seeds), len(ids))
    values = {name: np.empty(shape) for name in frames[0].columns if name != "user_id"}
    methods = list(recipes)
    for (method, seed), frame in zip(opened, frames, strict=True):
        for name, array in values.items():
            array[methods.index(method), seeds.index(seed)] = frame[name].to_numpy()
    users = parts.train.user_counts[parts.train.users.indices(ids)]
    return Comparison(folder, settings, recipes, seeds, opened, users, values)


def _better(row: Mapping[str, Any]) -> str | None:
    """Return which of two methods is better, or None where that may be luck."""
    if not row["p"] < LEVEL:
        return None
    return str(row["first"] if row["difference"] > 0 else row["second"])
