"""What is MML's weight set from the data worth beside weights and margins tuned by hand? Four data sets, several N.

    python benchmarks/margins.py gowalla --negatives 100 --weights auto,350,700,1400 [--margins default,low,four]
    python benchmarks/margins.py                          # only the table of what was run

MF, D = 64, B = 1024 (MovieLens 100k: 256), rate 1e-3, which falls as a cosine, honest protocol: every figure is that of
validation data after the last epoch. A trial that was run is not repeated. Writes ``docs/results/margins.csv`` and
prints tables in Markdown: all trials; then, of each data set and N, the trial nearest to "auto" beside the best.
"""

import argparse
import csv
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np

from multimargin import Recipe, fit_recipe
from multimargin.data import Interactions
from multimargin.losses import MultiMarginLoss, Statistics
from multimargin.recipes.fit import Fitted
from multimargin.rng import Streams

MARGINS = {
    "default": ([0.7, 0.8, 0.9], [0.1, 0.15, 0.75]),
    "four": ([0.6, 0.7, 0.8, 0.9], [0.05, 0.15, 0.2, 0.6]),  # published for Yelp2018
    "low": ([0.5, 0.65, 0.8], [0.1, 0.15, 0.75]),
    "high": ([0.8, 0.87, 0.94], [0.1, 0.15, 0.75]),
    "one": ([0.85], [1.0]),
}
GIVEN, RANDOM = "split={name: given, valid: 0.1}", "split={name: random-per-user, valid: 0.1, test: 0.2}"
DATA = {  # where it lies, and how it is trained on
    "gowalla": ("gowalla", [GIVEN, "batch_size=1024", "epochs=12"]),
    "yelp2018": ("yelp2018", [GIVEN, "batch_size=1024", "epochs=8"]),
    "ml-1m": ("ml-1m/sequences.txt", [RANDOM, "batch_size=1024", "epochs=8"]),
    "ml-100k": ("ml-100k/ml-100k.inter", [RANDOM, "batch_size=256", "epochs=12"]),
}
COMMON = ["protocol=honest", "learning_rate=1e-3", "decay=cosine", "stopping=null", "k=[20]"]
METRICS = ("NDCG@20", "Recall@20")
PAIRS = 200_000  # whose scores are looked at after training


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("data", nargs="*", choices=[*DATA, []])
    asked.add_argument("--from", dest="root", type=Path, default=Path("../shared/data"))
    asked.add_argument("--negatives", default="100", help="N, several with commas")
    asked.add_argument("--weights", default="auto", help="neg_weight, several with commas")
    asked.add_argument("--margins", default="default", help=f"of {', '.join(MARGINS)}, several with commas")
    asked.add_argument("--seeds", default="0", help="several with commas; the split stays that of seed 0")
    asked.add_argument("--runs", type=Path, default=Path("runs/margins"))
    asked.add_argument("--out", type=Path, default=Path("docs/results/margins.csv"))
    asked.add_argument("--threads", type=int)
    given = asked.parse_args()
    axes = (each.split(",") for each in (given.negatives, given.margins, given.weights, given.seeds))
    for data, (n, margins, weight, seed) in itertools.product(given.data, itertools.product(*axes)):
        trial(given, data, int(n), margins, weight, int(seed))
    rows = read(given.out)
    print(as_markdown(rows))
    print(as_markdown(beside_the_best(rows)))


def trial(given: argparse.Namespace, data: str, n: int, margins: str, weight: str, seed: int) -> None:
    """Run one trial, unless it is in the file, and add its row."""
    key = {"data": data, "N": n, "margins": margins, "neg_weight": weight, "seed": seed}
    if any(all(row[name] == str(value) for name, value in key.items()) for row in read(given.out)):
        return
    path, settings = DATA[data]
    at, slopes = MARGINS[margins]
    loss = [f"loss.margins={at}", f"loss.margin_weights={slopes}", f"loss.neg_weight={weight}"]
    every = f"evaluate_every={next(each for each in settings if 'epochs' in each).partition('=')[2]}"
    overrides = [*COMMON, *settings, every, *loss, f"n_negatives={n}", f"seed={seed}", "split_seed=0"]
    run = given.runs / "-".join(map(str, key.values()))
    fitted = fit_recipe(
        Recipe.load("mf-mml", overrides), data=readable(given.root / path, given.runs), run=run, resume=run.exists(),
        threads=given.threads, progress=False,
    )  # fmt: skip
    last = fitted.training.history[-1]
    objects = fitted.run.recipe().build()
    assert isinstance(objects.loss, MultiMarginLoss)
    used = prepared(objects.loss, fitted.parts.train)
    rule = prepared(MultiMarginLoss(at, slopes), fitted.parts.train).neg_weight
    row: dict[str, Any] = {**key, "as a number": f"{used.neg_weight:.1f}", "auto would be": f"{rule:.1f}"}
    row |= {name: f"{last[name]:.4f}" for name in METRICS} | scores(fitted, used)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    new = not given.out.exists()
    with given.out.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(row, flush=True)


def readable(path: Path, folder: Path) -> Path:
    """Return the data as a file that is read; lines of items in order, a user each, become a table."""
    if path.name != "sequences.txt":
        return path
    made = folder / "ml-1m.csv"
    if not made.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pairs = ((user, item) for user, line in enumerate(path.open(), 1) for item in line.split())
        made.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in pairs))
    return made


def prepared(loss: MultiMarginLoss, train: Interactions) -> MultiMarginLoss:
    """Return the loss with its weight set."""
    facts = Statistics(train.n_users, train.n_items, train.user_index, train.indices)
    loss.prepare(facts, rng=Streams(0).generator("loss"))
    return loss


def scores(fitted: Fitted, loss: MultiMarginLoss) -> dict[str, str]:
    """Return where scores lie after training, what share of negatives is active, and how hard they push in all.

    Users are drawn as their interactions are, items uniformly. The pull of a positive is 1.
    """
    model, train = fitted.model, fitted.parts.train
    rng = np.random.default_rng(0)
    pair = rng.integers(len(train), size=PAIRS)
    users, items = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (model.user_table, model.item_table))
    found = {}
    for name, item in (("positives", train.indices[pair]), ("negatives", rng.integers(train.n_items, size=PAIRS))):
        found[name] = np.einsum("nd,nd->n", users[train.user_index[pair]], items[item])
    hinges = loss.terms()
    above = [found["negatives"] > margin for margin in hinges.margins]
    slope = np.array(hinges.slopes) @ np.array(above)  # (PAIRS,)
    middle = {f"median of {name}": f"{np.median(each):.2f}" for name, each in found.items()}
    return {**middle, "active": f"{(slope > 0).mean():.4f}", "push / pull": f"{slope.mean():.2f}"}


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open())) if path.exists() else []


def beside_the_best(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return, of each data set and N, the trial nearest to "auto" with the default margins, and the best one."""

    def away(row: dict[str, str]) -> float:
        return abs(math.log(float(row["as a number"]) / float(row["auto would be"])))

    found = []
    for data, n in dict.fromkeys((row["data"], row["N"]) for row in rows):
        trials = [row for row in rows if (row["data"], row["N"], row["seed"]) == (data, n, "0")]
        near = min((row for row in trials if row["margins"] == "default"), key=away)
        best = max(trials, key=lambda row: float(row["NDCG@20"]))
        against = " / ".join(f"{float(near[name]) / float(best[name]) - 1:+.1%}" for name in METRICS)
        found.append(
            {
                "data": data, "N": n, "auto": near["auto would be"], "nearest trial": near["as a number"],
                **{name: near[name] for name in METRICS}, "trials": str(len(trials)),
                "best": f"{best['as a number']}, {best['margins']}", "nearest against best": against,
            }
        )  # fmt: skip
    return found


def as_markdown(rows: list[dict[str, str]]) -> str:
    if not rows:
        return ""
    rows = sorted(rows, key=lambda row: (list(DATA).index(row["data"]), int(row["N"])))
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join([*lines, *("| " + " | ".join(row.values()) + " |" for row in rows)]) + "\n"


if __name__ == "__main__":
    main()
