"""Every baseline without training on Gowalla and Yelp2018, beside the published figures, in one table.

    python benchmarks/baselines.py [--data ../shared/data] [--folder runs/baselines] [--only PART ...]

Recipes are the shipped ones, which learn from all training items (protocol paper: published settings were chosen on
the test items). ``als`` has none: its confidence and regularisation are chosen on a tenth of each user's training
items, from the grid below, and it is then fitted to all of them. ``ease`` keeps all weights here, in 6.7 GB. A run is a
process of its own, one at a time; what is done is skipped. Writes ``docs/results/baselines.md`` and ``.csv``.
"""

import argparse
import csv
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from multimargin.experiments.runs import Job, Outcome, run_all
from multimargin.kernels.threads import get_threads
from multimargin.recipes.recipe import Recipe
from multimargin.recipes.run import Run

# recipe, what is changed in it, published Recall@20 and NDCG@20, if any
RUNS: dict[str, tuple[str, tuple[str, ...], tuple[float, float] | None]] = {
    "gowalla/most-popular": ("gowalla-popularity", (), (0.0416, 0.0317)),
    "gowalla/als": ("gowalla-als", ("protocol=paper",), None),
    "gowalla/item-knn": ("gowalla-itemknn", (), (0.1570, 0.1214)),
    "gowalla/slim": ("gowalla-slim", (), (0.1699, 0.1382)),
    "gowalla/ease": ("gowalla-ease", ("encoder.neighbours=null",), (0.1765, 0.1467)),
    "gowalla/ease, 1,000 weights": ("gowalla-ease", (), None),
    "gowalla/gf-cf": ("gowalla-gfcf", (), (0.1849, 0.1518)),
    "gowalla/cheby-cf": ("gowalla-chebycf", (), (0.1941, 0.1616)),
    "yelp2018/most-popular": ("yelp2018-popularity", (), None),
    "yelp2018/als": ("yelp2018-als", ("protocol=paper",), None),
    "yelp2018/item-knn": ("yelp2018-itemknn", (), (0.0639, 0.0531)),
    "yelp2018/slim": ("yelp2018-slim", (), (0.0646, 0.0541)),
    "yelp2018/ease": ("yelp2018-ease", ("encoder.neighbours=null",), (0.0657, 0.0552)),
    "yelp2018/ease, 1,000 weights": ("yelp2018-ease", (), None),
    "yelp2018/gf-cf": ("yelp2018-gfcf", (), (0.0697, 0.0571)),
    "yelp2018/cheby-cf, Gowalla's settings": ("gowalla-chebycf", ("data=yelp2018",), None),
}
GRID = tuple(product((1.0, 3.0, 10.0, 30.0), (0.01, 1.0, 10.0)))  # confidence and regularisation of als
COLUMNS = ("data", "baseline", "Recall@20", "NDCG@20", "published", "difference", "seconds", "peak MiB", "settings")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of gowalla and yelp2018")
    parser.add_argument("--folder", type=Path, default=Path("runs/baselines"), help="where the runs lie")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="where the table goes")
    parser.add_argument("--only", nargs="+", metavar="PART", help="rows whose names hold one of these")
    arguments = parser.parse_args()
    names = [name for name in RUNS if arguments.only is None or any(part in name for part in arguments.only)]

    def jobs() -> Iterator[Job]:
        for name in names:
            data = str((arguments.data / name.partition("/")[0]).resolve())
            recipe, changes, _ = RUNS[name]
            if name.endswith("/als"):
                tried = [_als(recipe, data, confidence, ridge) for confidence, ridge in GRID]
                yield from tried
                best = max(tried, key=lambda job: _selected(Run(arguments.folder / job.name)))
                found = best.recipe.values["encoder"]
                changes += tuple(f"encoder.{key}={found[key]}" for key in ("confidence", "regularization"))
            yield Job(folder_of(name), Recipe.load(recipe, [*changes, f"data={data}"]))

    def after(outcome: Outcome) -> None:
        write(arguments.folder, arguments.out)
        if outcome.ended == "failed":
            print(outcome.job.name, outcome.problem)

    run_all(jobs(), arguments.folder, after=after)


def _als(recipe: str, data: str, confidence: float, regularization: float) -> Job:
    values = [f"encoder.confidence={confidence}", f"encoder.regularization={regularization}", f"data={data}"]
    return Job(f"als/{Path(data).name}-{confidence:g}-{regularization:g}", Recipe.load(recipe, values))


def _selected(run: Run) -> float:
    """Return Recall@20 on validation data."""
    return run.history()[-1]["Recall@20"]


def folder_of(name: str) -> str:
    return name.replace(", 1,000 weights", "-1000").replace(", Gowalla's settings", "")


def write(folder: Path, out: Path) -> None:
    """Write the table of the runs that are done."""
    done = [(name, Run(folder / folder_of(name))) for name in RUNS]
    rows = [row(name, run) for name, run in done if (run.path / "evaluation.json").exists()]
    if not rows:
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / "baselines.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (out / "baselines.md").write_text(as_markdown(rows))


def row(name: str, run: Run) -> dict[str, Any]:
    data, _, baseline = name.partition("/")
    found, info, published = run.evaluation(), run.info(), RUNS[name][2]
    recall, ndcg = (found[metric] for metric in ("Recall@20", "NDCG@20"))
    chosen = {key: each for key, each in run.recipe().values["encoder"].items() if key != "name"}
    return {
        "data": data,
        "baseline": baseline,
        "Recall@20": f"{recall:.4f}",
        "NDCG@20": f"{ndcg:.4f}",
        "published": "-" if published is None else "{:.4f} / {:.4f}".format(*published),
        "difference": "-" if published is None else f"{recall - published[0]:+.4f} / {ndcg - published[1]:+.4f}",
        "seconds": round(info["training_seconds"], 1),
        "peak MiB": round(info["peak_memory_mib"]),
        "settings": " ".join(f"{key}={each}" for key, each in chosen.items()),
    }


def as_markdown(rows: list[dict[str, Any]]) -> str:
    lines = [
        "# Baselines without training",
        "",
        "LightGCN's splits, learnt from all training items, protocol `paper`: published settings were chosen on the",
        "test items by those who published them; those of `als` on a tenth of the training items, here. Made by",
        f"`python benchmarks/baselines.py`, one run at a time, {get_threads()} thread(s); seconds are those of",
        "fitting, memory is the most that the whole process held.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
        *("| " + " | ".join(str(each[key]) for key in COLUMNS) + " |" for each in rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
