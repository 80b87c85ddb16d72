"""Every loss on one data set with one encoder, one sampler and one budget: quality, time and memory in a table.

    python benchmarks/losses.py [--data FOLDER] [--folder runs/losses] [--only NAME,...] [--epochs 6]
                                [--rates 1,3] [--negatives in-batch]

MF, D = 64, N = 100 uniform negatives, B = 1024, 6 epochs in which the rate falls as a cosine, honest protocol: a tenth
of each user's training items chooses the epoch and the learning rate (each loss is trained once for each factor of
``--rates``), the test items are looked at once, at the end. Settings below are published ones where they suit N = 100,
else from a few trials on validation data. A run is a process of its own; what is done is skipped, what was interrupted
goes on. Writes ``docs/results/losses-<data>.md`` and ``.csv``. Seconds per epoch are those of the run: only a quiet
machine gives figures to compare.

``--negatives in-batch``: the same with the other positives of the batch, 1,023 of them, for losses that are published
with such negatives and for MML, CCL and BPR beside them; writes ``docs/results/losses-in-batch-<data>.*``.
"""

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multimargin.experiments.runs import Job, Outcome, run_all
from multimargin.losses import LOSSES
from multimargin.recipes.recipe import Recipe

BASE: dict[str, Any] = {
    "protocol": "honest",
    "split": {"name": "given", "valid": 0.1},
    "negatives": "uniform",
    "n_negatives": 100,
    "batch_size": 1024,
    "epochs": 6,
    "decay": "cosine",
    "evaluate_every": 3,
    "clip_norm": 10.0,
    "dropout": 0.1,
    "metric": "NDCG@20",
    "seed": 1,
}
COSINE: dict[str, Any] = {"name": "mf", "embedding_dim": 64, "similarity": "cosine", "init_std": 1e-4}
DOT: dict[str, Any] = {**COSINE, "similarity": "dot", "init_std": 0.01}
MARGINS, SOFTMAX, PAIRS = 6e-4, 1e-3, 2e-3  # learning rates of the families, before the factors of --rates

# name: learning rate, similarity, values of the loss, values of the recipe
SETTINGS: dict[str, tuple[float, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "multi-margin": (MARGINS, COSINE, {}, {}),
    "multi-margin-positives": (MARGINS, COSINE, {}, {}),
    "multi-margin-active": (MARGINS, COSINE, {}, {}),
    "cosine-contrastive": (MARGINS, COSINE, {}, {}),
    "cross-batch-memory": (MARGINS, COSINE, {"threshold": 0.8, "neg_weight": 100.0, "memory_weight": 1.0}, {}),
    "mean-squared-error": (MARGINS, COSINE, {"neg_weight": 100.0}, {}),
    "bpr": (PAIRS, DOT, {}, {}),
    "k-pair-bpr": (PAIRS, DOT, {}, {}),
    "pairwise-margin": (PAIRS, DOT, {}, {}),
    "simce": (PAIRS, DOT, {}, {}),
    "warp": (PAIRS, DOT, {}, {}),
    "attentive-bpr": (PAIRS, DOT, {}, {}),
    "variational-bpr": (PAIRS, DOT, {}, {}),
    "variational-bpr-plug-in": (PAIRS, DOT, {}, {}),
    "sigmoid-cross-entropy": (PAIRS, DOT, {}, {}),
    "generalized-bce": (PAIRS, DOT, {}, {}),
    "graph-constraint": (PAIRS, DOT, {}, {}),
    "partial-auc": (PAIRS, DOT, {}, {}),
    "decoupled-softmax": (SOFTMAX, COSINE, {"temperature": 0.08}, {}),
    "sampled-softmax": (SOFTMAX, COSINE, {"temperature": 0.08}, {}),
    "reweighted-softmax": (SOFTMAX, COSINE, {"temperature": 0.08, "neg_weight": 1.22}, {}),
    "bilateral-row": (SOFTMAX, COSINE, {"pos_temperature": 0.1, "neg_temperature": 0.08}, {}),
    "bilateral-softmax": (SOFTMAX, COSINE, {"pos_temperature": 0.1, "neg_temperature": 0.08}, {}),
    "grouped-softmax": (SOFTMAX, COSINE, {"temperature": 0.08, "neg_weight": 1.22}, {}),
    "pairwise-softmax": (SOFTMAX, COSINE, {}, {}),
    "adaptive-temperature": (SOFTMAX, COSINE, {"spread": 0.25, "quantile": 0.9, "warmup_epochs": 3}, {}),
    "adversarial-softmax": (SOFTMAX, COSINE, {"temperature": 0.08}, {}),
    "global-contrastive": (SOFTMAX, COSINE, {"temperature": 0.08}, {}),
    "multi-sample": (SOFTMAX, COSINE, {"temperature": 0.1}, {}),
    "debiased-contrastive": (SOFTMAX, COSINE, {"temperature": 0.1, "positive_prior": 0.001}, {}),
    "hard-contrastive": (SOFTMAX, COSINE, {"temperature": 0.1, "hardness": 0.5, "positive_prior": 0.001}, {}),
    "top-k-softmax": (SOFTMAX, COSINE, {"temperature": 0.08, "refresh_every": 3}, {}),
    "global-top-k": (SOFTMAX, COSINE, {"temperature": 0.08, "refresh_every": 3}, {}),
    "alignment-uniformity": (SOFTMAX, COSINE, {"uniformity": 5.0}, {}),
}
# what is trained with in-batch negatives: softmax losses, whose papers do, and three to compare them with
IN_BATCH = (
    "decoupled-softmax", "sampled-softmax", "reweighted-softmax", "bilateral-row", "bilateral-softmax",
    "grouped-softmax", "pairwise-softmax", "adaptive-temperature", "adversarial-softmax", "global-contrastive",
    "multi-sample", "debiased-contrastive", "hard-contrastive", "top-k-softmax", "global-top-k",
    "alignment-uniformity", "multi-margin", "cosine-contrastive", "k-pair-bpr",
)  # fmt: skip
LEFT_OUT = {
    "soft-contrastive": "wants frozen vectors of the items, and Gowalla has no texts",
    "optimal-negatives": "wants vectors of the negatives, for a handful of them only",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/gowalla"))
    parser.add_argument("--negatives", choices=("uniform", "in-batch"), default="uniform")
    parser.add_argument("--folder", type=Path, help="where the runs lie [default: runs/losses, runs/losses-in-batch]")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="where the table goes")
    parser.add_argument("--only", help="names of losses, with commas; the table holds what was run so far")
    parser.add_argument("--epochs", type=int, default=BASE["epochs"], help="another number wants another --folder")
    parser.add_argument("--rates", default="1", help="factors of the learning rate that are tried, with commas")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    arguments = parser.parse_args()
    missing = set(LOSSES) - set(SETTINGS) - set(LEFT_OUT)
    if missing:
        parser.error(f"a loss has no settings here: {', '.join(sorted(missing))}")
    in_batch = arguments.negatives == "in-batch"
    stem = "losses-in-batch" if in_batch else "losses"
    folder = arguments.folder or Path("runs") / stem
    every = list(IN_BATCH if in_batch else SETTINGS)
    names = every if arguments.only is None else arguments.only.split(",")
    factors = [float(each) for each in arguments.rates.split(",")]
    jobs = [job(name, factor, arguments) for factor in factors for name in names]

    def after(outcome: Outcome) -> None:
        write(folder, arguments.out / f"{stem}-{arguments.data.resolve().name}", in_batch=in_batch)
        if outcome.ended == "failed":
            print(outcome.job.name, outcome.problem)

    run_all(jobs, folder, at_once=arguments.jobs, after=after)


def job(name: str, factor: float, arguments: argparse.Namespace) -> Job:
    rate, encoder, loss, more = SETTINGS[name]
    values = {
        **BASE, **more, "data": str(arguments.data.resolve()), "encoder": encoder, "loss": {"name": name, **loss},
        "epochs": arguments.epochs, "learning_rate": rate * factor,
    }  # fmt: skip
    if arguments.negatives == "in-batch":
        values |= {"negatives": "in-batch", "n_negatives": None}
    return Job(f"{name}/x{factor:g}", Recipe.load(values))


def write(folder: Path, stem: Path, *, in_batch: bool) -> None:
    """Write the table of the runs that are done, for each loss the one that is best on validation data."""
    from multimargin.recipes.run import Run

    rows = []
    for name in SETTINGS:
        runs = [Run(path) for path in sorted((folder / name).glob("x*")) if (path / "evaluation.json").exists()]
        if runs:
            rows.append(row(name, max(runs, key=selected), len(runs)))
    rows.sort(key=lambda each: -each["validation NDCG@20"])
    stem.parent.mkdir(parents=True, exist_ok=True)
    with stem.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    stem.with_suffix(".md").write_text(as_markdown(rows, stem.name.rpartition("-")[2], in_batch=in_batch))


def judged(run: Any) -> list[float]:
    """Return the validation metric of each epoch that was judged."""
    return [float(each[BASE["metric"]]) for each in run.history() if BASE["metric"] in each]


def selected(run: Any) -> float:
    """Return the validation metric that the run's epoch was chosen by."""
    return max(judged(run))


def row(name: str, run: Any, n_rates: int) -> dict[str, Any]:
    info, found = run.info(), run.evaluation()
    recipe = Recipe.load(run.recipe_file).values
    values = {key: each for key, each in recipe["loss"].items() if key != "name"}
    return {
        "loss": name,
        "Recall@20": round(found["Recall@20"], 4),
        "NDCG@20": round(found["NDCG@20"], 4),
        "validation NDCG@20": round(selected(run), 4),
        "on the way": " ".join(f"{each:.4f}" for each in judged(run)),
        "seconds per epoch": round(info["training_seconds"] / info["epochs"], 2),
        "epochs": info["epochs"],
        "best epoch": info["best_epoch"],
        "peak MiB": round(info["peak_memory_mib"]),
        "similarity": recipe["encoder"]["similarity"],
        "learning rate": f"{recipe['learning_rate']:.2g}",
        "rates tried": n_rates,
        "settings": " ".join(f"{key}={_short(each)}" for key, each in values.items()),
    }


def _short(value: Any) -> str:
    return str(value).replace(" ", "")


def as_markdown(rows: list[Mapping[str, Any]], data: str, *, in_batch: bool) -> str:
    score = {each["loss"]: each["validation NDCG@20"] for each in rows}
    behind = [] if in_batch else [name for name in score if score[name] < score.get("bpr", 0.0)]
    title, negatives, option = f"Every loss on {data}", "N = 100 uniform negatives", ""
    if in_batch:
        title, negatives, option = f"In-batch negatives on {data}", "in-batch negatives", " --negatives in-batch"
    left_out = {} if in_batch else LEFT_OUT
    lines = [
        f"# {title}",
        "",
        f"MF, D = 64, {negatives}, B = 1024, honest protocol (epoch and rate chosen on a tenth of each",
        "user's training items, which are not trained on; test read once), one seed. In the order of the validation",
        f"metric, which is also told on the way. Made by `python benchmarks/losses.py{option}`.",
        "",
        "| " + " | ".join(rows[0]) + " |",
        "|" + "---|" * len(rows[0]),
        *("| " + " | ".join(map(str, each.values())) + " |" for each in rows),
        "",
        *([f"Below BPR on validation data: {', '.join(f'`{name}`' for name in behind)}.", ""] if behind else []),
        *(f"Left out: `{name}`, which {why}." for name, why in left_out.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
