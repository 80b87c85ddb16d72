"""One training epoch of MF with the Multi-Margin Loss: a pool shared by the batch against distinct negatives, in turns.

    python benchmarks/shared_negatives.py [--data ../shared/data/gowalla] [--negatives 800] [--rounds 5]

``shared`` and ``steps`` are the general loop with ``SharedNegatives`` and with ``UniformNegatives``; ``fused`` is the
whole-epoch kernel, which draws distinct ones. All are measured as ``training_epoch.py`` measures: after an epoch of
training, each turn of the general loop a part of an epoch, scaled.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import measure
import numpy as np
from training_epoch import CLIP_NORM, DROPOUT, INIT_STD, LEARNING_RATE, read

from multimargin.data.interactions import Interactions
from multimargin.encoders import MF
from multimargin.kernels.threads import get_threads
from multimargin.losses import MultiMarginLoss
from multimargin.negatives import SharedNegatives, UniformNegatives
from multimargin.optim import LazyAdam
from multimargin.train.engines import Setting, choose_engine

IMPLEMENTATIONS = {
    "steps": ("steps", UniformNegatives()),
    "shared": ("steps", SharedNegatives()),
    "fused": ("fused", UniformNegatives()),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/gowalla"), help="folder with train.txt")
    parser.add_argument("--negatives", type=int, default=800, help="N")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--embedding-dim", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100, help="steps of the general loop in each round")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_name("results.csv"))
    parser.add_argument("--no-csv", action="store_true", help="append nothing")
    arguments = parser.parse_args()
    train = read(arguments.data)
    turns = {name: prepare(train, *how, arguments) for name, how in IMPLEMENTATIONS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for turn in turns.values():
        turn()  # compiled, loaded
    for _ in range(arguments.rounds):
        for name, turn in turns.items():
            seconds[name].append(turn())

    data = arguments.data.name if arguments.data.exists() else "generated"
    shape = f"{data} U={train.n_users} I={train.n_items} n={len(train)} D={arguments.embedding_dim}"
    shape += f" B={arguments.batch_size} N={arguments.negatives}"
    hardware, versions = f"{get_threads()} threads {measure.processor()}", measure.versions("torch", "numba", "numpy")
    print(f"{hardware}, {versions}\n{shape}: seconds per epoch, {arguments.rounds} rounds")
    rows = []
    for name, times in seconds.items():
        numbers = np.percentile(times, (20, 50, 80))
        ratio = np.median(np.array(seconds["steps"]) / times)
        print(f"  {name:<8}" + "".join(f"{number:9.2f}" for number in numbers) + f"{ratio:8.1f}x")
        rows.append(["shared negatives", name, shape, hardware, versions, *(f"{each:.4g}" for each in numbers), ""])
    if not arguments.no_csv:
        measure.append(arguments.csv, rows)


def prepare(
    train: Interactions, engine: str, negatives: SharedNegatives | UniformNegatives, arguments: argparse.Namespace
) -> Callable[[], float]:
    """Train for an epoch; return a turn, which returns seconds per epoch."""
    encoder, n = MF(arguments.embedding_dim, init_std=INIT_STD), len(train)
    encoder.build(train, rng=np.random.default_rng(0))
    negatives.build(train)
    uniform = UniformNegatives()
    uniform.build(train)
    optimizer = LazyAdam(encoder.parameters(), lr=LEARNING_RATE)
    setting = {
        "train": train, "encoder": encoder, "loss": MultiMarginLoss(), "optimizer": optimizer,
        "n_negatives": arguments.negatives, "batch_size": arguments.batch_size, "clip_norm": CLIP_NORM,
        "dropout": DROPOUT, "negatives_key": 1, "dropout_key": 2, "positives_key": 3,
    }  # fmt: skip
    rng = np.random.default_rng(1)
    choose_engine("fused", Setting(**setting, negatives=uniform)).run(rng.permutation(n), 0, n, place=0)
    optimizer.settle()
    chosen = choose_engine(engine, Setting(**setting, negatives=negatives))
    size = n if engine == "fused" else min(n, arguments.steps * arguments.batch_size)

    def turn() -> float:
        order = rng.permutation(n)[:size]
        started = time.perf_counter()
        chosen.run(order, 0, size, place=n)
        done = time.perf_counter()
        optimizer.settle()
        return (done - started) * n / size + time.perf_counter() - done

    return turn


if __name__ == "__main__":
    main()
