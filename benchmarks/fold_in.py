"""Users who were not in training: how good are their lists, against those of users who were?

    python benchmarks/fold_in.py [--data ../shared/data] [--only ENCODER ...] [--out docs/results]

A tenth of the users is hidden from training; then their training items are given as a history, and their test items
are asked for. Recall@20 (of sequences, Recall@10 of the next item) of these users by the mean of their items, by what
the encoder's ``fold_in`` makes of the same history, and by an encoder that was trained on them, too, with the same
settings. Writes ``docs/results/fold-in.md``. The settings are for a run of minutes, and nobody's best.
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import data
import numpy as np
from numpy.typing import NDArray

import multimargin as mm
from multimargin.data import Interactions, read_parts
from multimargin.data.splits import LeaveLastOut, RandomPerUser, Split
from multimargin.encoders import Encoder
from multimargin.evaluate import Evaluator
from multimargin.recommend.fold_in import fold_in

SHARE, SEED, SEQUENCES = 0.1, 0, "ml-1m sequences"
MARGINS: dict[str, Any] = {"n_negatives": 100, "batch_size": 1024, "learning_rate": 1.8e-3, "epochs": 12}
GRAPH = MARGINS | {"batch_size": 4096, "learning_rate": 5e-3, "epochs": 8}


class Case(NamedTuple):
    encoder: Callable[[], Encoder]
    data: str
    options: dict[str, Any]
    metric: str = "Recall@20"


CASES = {
    "mf": Case(lambda: mm.MF(64), "gowalla", MARGINS),
    "two-tower": Case(lambda: mm.TwoTower(64), "ml-1m", MARGINS | {"epochs": 6}),
    "simplex": Case(lambda: mm.SimpleX(64, gamma=0.5), "ml-1m", MARGINS | {"epochs": 6}),
    "lightgcn": Case(lambda: mm.LightGCN(64), "ml-1m", GRAPH),
    "xsimgcl": Case(lambda: mm.XSimGCL(64), "ml-1m", GRAPH),
    "sasrec": Case(
        lambda: mm.SASRec(64, max_length=50), SEQUENCES,
        {"n_negatives": 64, "batch_size": 1024, "learning_rate": 2e-3, "epochs": 12, "dropout": 0.0}, "Recall@10",
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of gowalla and ml-1m")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="where the table goes")
    arguments = parser.parse_args()
    for name in arguments.only:
        found = measure(CASES[name], arguments.data)
        print(name, found, flush=True)
        write(arguments.out, {"encoder": name, "data": CASES[name].data, "metric": CASES[name].metric, **found})


def read(name: str, folder: Path) -> Split:
    """Return the data's parts; of lines of items in order, random ones or the last."""
    if name == "gowalla":
        return read_parts(folder / name)
    log = data.read_sequences(folder / "ml-1m" / "sequences.txt")
    return log.split(LeaveLastOut(valid=0) if name == SEQUENCES else RandomPerUser(valid=0.0, test=0.2), rng=SEED)


def measure(case: Case, folder: Path) -> dict[str, str]:
    """Return the metric of the hidden users in each way."""
    split = read(case.data, folder)
    train, test = split.train, split.test
    assert test is not None
    n_hidden = round(SHARE * train.n_users)
    hidden = np.random.default_rng(SEED).choice(np.flatnonzero(train.user_counts), n_hidden, replace=False)
    is_hidden = np.zeros(train.n_users, dtype=bool)
    is_hidden[hidden] = True
    evaluator = Evaluator(test.select(is_hidden[test.user_index]), seen=train, k=int(case.metric.partition("@")[2]))
    trained, without = (
        mm.fit(
            part,
            encoder=case.encoder(),
            decay="cosine",
            progress=False,
            seed=1,
            **{"loss": mm.MultiMarginLoss()} | case.options,
        )
        for part in (train, train.select(~is_hidden[train.user_index]))
    )

    histories = {user: in_order(train, user) for user in hidden}

    def measured(model: mm.Recommender, users: NDArray[np.float32]) -> str:
        return f"{evaluator(users, model.item_table, model.similarity).metrics[case.metric]:.4f}"

    mean, folded = without.user_table.copy(), without.user_table.copy()
    for user, items in histories.items():
        mean[user] = fold_in(items, without.item_table, similarity=without.similarity)
    started = time.perf_counter()
    for user, items in histories.items():
        folded[user] = without.scorer.fold_in(items)
    seconds = time.perf_counter() - started
    return {
        "mean of items": measured(without, mean),
        "fold_in": measured(without, folded),
        "trained on them": measured(trained, trained.user_table),
        "ms a user": f"{seconds / n_hidden * 1e3:.2f}",
    }


def in_order(train: Interactions, user: int) -> NDArray[np.integer]:
    """Return a user's items, by time where there are times."""
    own = slice(train.indptr[user], train.indptr[user + 1])
    return train.indices[own] if train.timestamps is None else train.indices[own][np.argsort(train.timestamps[own])]


def write(out: Path, row: dict[str, str]) -> None:
    """Put a row into the table, in place of an earlier one of the same encoder."""
    path = out / "fold-in.csv"
    out.mkdir(parents=True, exist_ok=True)
    rows = {each["encoder"]: each for each in csv.DictReader(path.read_text().splitlines())} if path.exists() else {}
    rows[row["encoder"]] = row
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[name] for name in CASES if name in rows)
    lines = [
        "# Users who were not in training",
        "",
        "A tenth of the users hidden from training, then known by their training items. Made by",
        "`python benchmarks/fold_in.py`, which holds the settings.",
        "",
        "| " + " | ".join(row) + " |",
        "|" + "---|" * len(row),
        *("| " + " | ".join(rows[name].values()) + " |" for name in CASES if name in rows),
    ]
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
