"""What a search found: how far each recipe came on validation data, with which settings, at which cost."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from multimargin.experiments.study import Study
from multimargin.experiments.tables import pipe_table
from multimargin.recipes.recipe import Recipe
from multimargin.recipes.run import write_json, write_text


@dataclass(frozen=True, eq=False)
class Search:
    """Recipes whose settings were searched, with equal budgets.

    Args:
        folder: where the trials lie, and the best recipes.
        settings: what all trials share: data, its hashes and sizes, split, cut-offs, metric, epochs.
        studies: by the recipe's name, in the order asked for.
    """

    folder: Path
    settings: Mapping[str, Any]
    studies: Mapping[str, Study] = field(repr=False)

    @property
    def metric(self) -> str:
        """What trials were judged by, on validation data."""
        return str(self.settings["metric"])

    @property
    def best(self) -> dict[str, Recipe]:
        """The best recipe of each, as its file has it, by the name of what was searched."""
        return {name: Recipe.load(self.file(study)) for name, study in self.studies.items()}

    @property
    def summary(self) -> pl.DataFrame:
        """A row for each recipe: what it reached, what the recipe as it was reached, trials, epochs, seconds, file."""
        rows = []
        for name, study in self.studies.items():
            first, states = study.records[0], [each["state"] for each in study.records]
            assert study.best is not None
            rows.append(
                {
                    "recipe": name,
                    "metric": self.metric,
                    "reached": study.best["reached"],
                    "untuned": first["reached"] if study.starts_untuned else None,
                    "trial": study.best["trial"],
                    "epoch": study.best["epoch"],
                    "trials": len(states),
                    "pruned": states.count("pruned"),
                    "failed": states.count("failed"),
                    "epochs": sum(each["epochs"] for each in study.records),
                    "seconds": round(sum(each["seconds"] for each in study.records), 1),
                    "file": str(self.file(study)),
                }
            )
        return pl.DataFrame(rows)

    @property
    def trials(self) -> pl.DataFrame:
        """A row for each trial: recipe, trial, state, what it reached, epochs, seconds, values as JSON."""
        keys = ("trial", "state", "reached", "epoch", "epochs", "seconds")
        return pl.DataFrame(
            [
                {"recipe": name, **{key: record[key] for key in keys}, "values": json.dumps(record["values"])}
                for name, study in self.studies.items()
                for record in study.records
            ],
            infer_schema_length=None,
        )

    def file(self, study: Study) -> Path:
        """Return where a study's best recipe lies."""
        return self.folder / f"{study.folder.name}-tuned.yaml"

    def write_best(self, study: Study) -> None:
        """Write the best recipe so far as a file that ``fit`` takes."""
        best = study.best
        assert best is not None
        head = (
            f"# multimargin fit {self.file(study)}\n"
            f"# {study.space.recipe.name}, trial {best['trial']} of a search: {self.metric} {best['reached']:.4f} on "
            f"validation data after epoch {best['epoch']}\n"
        )
        text = study.space.changed(best["values"]).to_yaml()
        write_text(self.file(study), head + text.partition("\n")[2])

    def write(self) -> dict[str, Path]:
        """Write best recipes, table and trials into the folder; return the files."""
        for study in self.studies.values():
            self.write_best(study)
        files = {name: self.folder / name for name in ("results.md", "results.json", "trials.csv")}
        write_text(files["results.md"], f"{self}\n")
        write_json(files["results.json"], self.to_dict())
        write_text(files["trials.csv"], self.trials.write_csv())
        return files | {f"{name}-tuned": self.file(study) for name, study in self.studies.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            **self.settings,
            "summary": self.summary.to_dicts(),
            "best": {name: study.best["values"] for name, study in self.studies.items() if study.best},
            "trials": {name: study.records for name, study in self.studies.items()},
        }

    def __str__(self) -> str:
        """Return the tables in Markdown."""
        data = Path(str(self.settings["data"])).name
        heads = ["recipe", f"{self.metric} (validation)", "as it was", "best trial", "epoch", "trials", "given up"]
        rows = [
            [
                row["recipe"],
                f"{row['reached']:.4f}",
                "-" if row["untuned"] is None else f"{row['untuned']:.4f}",
                str(row["trial"]),
                str(row["epoch"]),
                f"{row['trials']}" + (f" ({row['failed']} failed)" if row["failed"] else ""),
                str(row["pruned"]),
                f"{row['epochs']:,}",
                f"{row['seconds']:,.0f}",
            ]
            for row in self.summary.to_dicts()
        ]
        lines = [
            f"# Search of {len(self.studies)} recipes on {data}" if len(self.studies) > 1 else f"# Search on {data}"
        ]
        lines.append(
            f"{self.settings['interactions']:,} training interactions of {self.settings['users']:,} users with "
            f"{self.settings['items']:,} items; {self.settings['epochs']} epochs at most for a trial, whose figure is "
            "its best epoch's, on the validation data that it was chosen on; test data was not looked at."
        )
        lines.append(pipe_table([*heads, "epochs", "seconds"], rows))
        for name, study in self.studies.items():
            assert study.best is not None
            chosen = " ".join(f"{key}={json.dumps(value)}" for key, value in study.best["values"].items())
            lines.append(f"{name}: `{chosen}`\n`multimargin fit {self.file(study)}`")
        return "\n\n".join(lines)
