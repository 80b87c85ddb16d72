"""A run's numbers against lists ranked in plain NumPy, float64, and judged by ``ir_measures``.

    python benchmarks/check_metrics.py RUN [--data ../shared/data/gowalla] [--k 20]

For runs on a folder with train.txt and test.txt, in protocol ``paper`` (only train items are left out of the lists).
MAP is not compared: ir_measures divides by all relevant items, this library by min(relevant, k).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import ir_measures
import numpy as np
from ir_measures import RR, P, R, Success, nDCG

import multimargin as mm

BLOCK = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/gowalla"))
    parser.add_argument("--k", type=int, default=20)
    arguments = parser.parse_args()
    k = arguments.k
    oracle = {f"Recall@{k}": R @ k, f"NDCG@{k}": nDCG @ k, f"Precision@{k}": P @ k}
    oracle |= {f"HitRate@{k}": Success @ k, f"MRR@{k}": RR @ k}

    ours = [sys.executable, "-m", "multimargin", "evaluate", str(arguments.run), "--json", "--k", str(k)]
    found = json.loads(subprocess.run(ours, check=True, capture_output=True, text=True).stdout)
    relevant = {user: dict.fromkeys(items, 1) for user, items in read(arguments.data / "test.txt").items() if items}
    lists = rank(mm.load(arguments.run / "model"), read(arguments.data / "train.txt"), k)
    exact = ir_measures.calc_aggregate(oracle.values(), relevant, lists)
    for name, measure in oracle.items():
        print(f"{name:<14}{found[name]:.12f}  {exact[measure]:.12f}  {abs(found[name] - exact[measure]):.1e}")
    sys.exit(max(abs(found[name] - exact[measure]) for name, measure in oracle.items()) > 1e-9)


def read(path: Path) -> dict[str, list[str]]:
    """Return each user's items, as they are spelled."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0]: words[1:] for words in lines if words}


def rank(model: mm.Recommender, train: dict[str, list[str]], k: int) -> dict[str, dict[str, float]]:
    """Return each user's k best items that are not in ``train``, with scores that fall by one from place to place."""
    users, items = (np.asarray(table, np.float64) for table in (model.user_table, model.item_table))
    if model.similarity == "cosine":
        users, items = (table / np.linalg.norm(table, axis=1, keepdims=True) for table in (users, items))
    lists = {}
    for start in range(0, len(users), BLOCK):
        scores = users[start : start + BLOCK] @ items.T
        for offset, row in enumerate(scores):
            user = str(start + offset)
            row[[int(item) for item in train.get(user, [])]] = -np.inf
            near = np.argpartition(-row, 2 * k)[: 2 * k]
            best = sorted(near.tolist(), key=lambda item: (-np.float32(row[item]), item))[:k]
            lists[user] = {str(item): float(k - place) for place, item in enumerate(best)}
    return lists


if __name__ == "__main__":
    main()
