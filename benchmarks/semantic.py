"""Do semantic negatives help? MF with few negatives on MovieLens 100k: uniform, popular, semantic; several seeds.

``python benchmarks/semantic.py --data ../shared/data/ml-100k --vectors titles.parquet`` prints a Markdown table. The
vectors are made by ``multimargin data embed ../shared/data/ml-100k/ml-100k.item -o titles.parquet``. Protocol
``honest``: a seed is a split (70 / 10 / 20 % of each user's items), an initialisation and the draws; epochs are chosen
on validation data. Finished runs in ``--runs`` are not repeated.
"""

import argparse
import json
import statistics
from pathlib import Path

from multimargin import Recipe, fit_recipe

SEEN = "negatives.exclude_seen=true"
LOSSES = {
    "BPR": ["loss=bpr", "encoder.similarity=dot", "dropout=0", "clip_norm=null", "weight_decay=3e-5"],
    "MML": ["loss.neg_weight=60"],
}
COMMON = ["n_negatives=4", "learning_rate=5e-3", "batch_size=1024", "epochs=100", "stopping.patience=6", "k=[20]"]
VECTORS = "negatives.item_vectors="  # the path is put behind it
SAMPLERS = {
    "uniform": ["negatives=uniform", SEEN],
    "popularity": ["negatives=popularity", SEEN],
    "semantic": ["negatives=semantic", VECTORS],
    "semantic, half hard": ["negatives=semantic", VECTORS, "negatives.hard=0.5"],
    "semantic, near": ["negatives=semantic", VECTORS, "negatives.nearest=50", "negatives.skipped=10"],
    "semantic, no adapter": ["negatives=semantic", VECTORS, "negatives.rank=0"],
    "behaviour, no texts": ["negatives=semantic"],
}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--data", required=True)
    asked.add_argument("--vectors", required=True)
    asked.add_argument("--runs", type=Path, default=Path("runs/semantic"))
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--losses", nargs="*", default=list(LOSSES), choices=list(LOSSES))
    asked.add_argument("--samplers", nargs="*", default=list(SAMPLERS), choices=list(SAMPLERS))
    asked.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further values for all runs")
    asked.add_argument("--threads", type=int)
    given = asked.parse_args()
    print("| loss | negatives | validation NDCG@20 | Recall@20 | NDCG@20 | epochs | seconds per epoch |")
    print("|---|---|---|---|---|---|---|")
    for loss in given.losses:
        for sampler in given.samplers:
            found = [one(given, loss, sampler, seed) for seed in range(given.seeds)]
            print(
                f"| {loss} | {sampler} | {' | '.join(map(shown, zip(*found, strict=True), (4, 4, 4, 0, 2)))} |",
                flush=True,
            )


def one(given: argparse.Namespace, loss: str, sampler: str, seed: int) -> tuple[float, ...]:
    """Return the best NDCG@20 on validation data, Recall@20 and NDCG@20 on test data, the best epoch, its seconds."""
    overrides = [*LOSSES[loss], *COMMON, *SAMPLERS[sampler], *given.set, f"seed={seed}"]
    recipe = Recipe.load("mf-mml", [each + str(given.vectors) if each == VECTORS else each for each in overrides])
    run = given.runs / "-".join([loss, *sampler.replace(",", "").split(), str(seed)])
    if not (run / "evaluation.json").exists():
        fit_recipe(recipe, data=given.data, run=run, resume=run.exists(), threads=given.threads, progress=False)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    best = max(rows, key=lambda row: row["NDCG@20"])
    test = json.loads((run / "evaluation.json").read_text())
    seconds = statistics.median(row["train_seconds"] for row in rows)
    return best["NDCG@20"], test["Recall@20"], test["NDCG@20"], best["epoch"], seconds


def shown(values: tuple[float, ...], digits: int) -> str:
    """Return mean and, where there are several, standard deviation."""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return (
        (f"{statistics.mean(values):.{digits}f}" + spread).replace("0.", ".")
        if digits == 4
        else (f"{statistics.mean(values):.{digits}f}")
    )


if __name__ == "__main__":
    main()
