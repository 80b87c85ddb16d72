"""On a GPU: scores, scores with gradients, and a training epoch, in Triton and by the plain PyTorch reference.

    python benchmarks/gpu.py [--data ../shared/data/gowalla] [--negatives 10,100,800] [--batch-size 1024] [--rounds 5]

The two take turns, so that a busy machine slows both alike; before a turn the GPU has nothing left to do, after it the
clock waits for the GPU. Gradients are sparse in Triton, dense by the reference; about 1 % of the negatives have one, as
with the Multi-Margin Loss. An epoch is ``--steps`` steps of the general loop, draws on the CPU and lazy Adam included,
scaled to the epoch; with the reference's dense gradients Adam is the dense one. The step that compiles is not measured.
Peak memory is what PyTorch holds on the GPU above what it held before. Without a GPU, or without Triton, one line says
so and nothing is measured.
"""

import argparse
import functools
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import measure
import numpy as np
import torch
from run import GOWALLA
from training_epoch import CLIP_NORM, DROPOUT, INIT_STD, LEARNING_RATE

from multimargin.data import read_parts
from multimargin.data.interactions import Interactions
from multimargin.data.synthetic import make_synthetic
from multimargin.encoders import MF
from multimargin.kernels.sampled_scores import sampled_scores
from multimargin.losses import MultiMarginLoss
from multimargin.negatives import UniformNegatives
from multimargin.optim import LazyAdam
from multimargin.train import engines

IMPLEMENTATIONS = {"pytorch": "reference", "triton": "gpu"}
ACTIVE = 0.01  # of the negatives have a gradient


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/gowalla"), help="folder with train.txt")
    parser.add_argument("--negatives", default="10,100,800", help="N, one or more")
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--embedding-dim", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50, help="steps of training in each round")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_name("results.csv"))
    parser.add_argument("--no-csv", action="store_true", help="append nothing")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("benchmarks/gpu.py must run on a GPU; PyTorch sees none. Nothing was measured.")
    if find_spec("triton") is None:
        raise SystemExit("benchmarks/gpu.py must have Triton; it is not installed. Nothing was measured.")
    hardware, versions = torch.cuda.get_device_name(), measure.versions("torch", "triton", "numpy")
    print(f"{hardware}, {versions}")
    if arguments.data.exists():
        data, train = arguments.data.name, read_parts(arguments.data).train
    else:
        data, train = "generated", make_synthetic(*GOWALLA[:2], mean_interactions=GOWALLA[2]).interactions
    for n_negatives in map(int, arguments.negatives.split(",")):
        sizes = f"D={arguments.embedding_dim} B={arguments.batch_size} N={n_negatives}"
        shape = f"{data} U={train.n_users} I={train.n_items} n={len(train)} {sizes}"
        for op, prepare in (("scores", scores), ("scores and gradients", gradients), ("training epoch", epoch)):
            compare(op, prepare, train, n_negatives, shape, hardware, versions, arguments)


def compare(
    op: str,
    prepare: Callable[..., Callable[[], float]],
    train: Interactions,
    n_negatives: int,
    shape: str,
    hardware: str,
    versions: str,
    arguments: argparse.Namespace,
) -> None:
    """Let both implementations take turns; print and append their rows."""
    seconds: dict[str, list[float]] = {name: [] for name in IMPLEMENTATIONS}
    peaks = dict.fromkeys(IMPLEMENTATIONS, 0.0)
    turns = {}
    for name, impl in IMPLEMENTATIONS.items():
        turns[name] = prepare(train, n_negatives, impl, arguments)
        turns[name]()  # compiled, allocated
    for _ in range(arguments.rounds):
        for name, turn in turns.items():
            held = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            seconds[name].append(turn())
            peaks[name] = max(peaks[name], (torch.cuda.max_memory_allocated() - held) / 2**20)

    print(f"\n{op}, {shape}: seconds, {arguments.rounds} rounds")
    print(f"  {'':<9}{'p20':>11}{'median':>11}{'p80':>11}{'ratio':>9}{'peak MiB':>10}")
    rows = []
    for name, times in seconds.items():
        low, middle, high = np.percentile(times, (20, 50, 80))
        ratio = np.median(np.array(seconds["pytorch"]) / times)
        print(f"  {name:<9}{low:11.6f}{middle:11.6f}{high:11.6f}{ratio:8.1f}x{peaks[name]:10.0f}", flush=True)
        numbers = [f"{number:.4g}" for number in (low, middle, high)]
        rows.append([f"gpu {op}", name, shape, hardware, versions, *numbers, f"{peaks[name]:.0f}"])
    if not arguments.no_csv:
        measure.append(arguments.csv, rows)


def scores(train: Interactions, n_negatives: int, impl: str, arguments: argparse.Namespace) -> Callable[[], float]:
    """Return a turn of the forward pass; it returns seconds per call."""
    return _calls(train, n_negatives, impl, arguments, backward=False)


def gradients(train: Interactions, n_negatives: int, impl: str, arguments: argparse.Namespace) -> Callable[[], float]:
    """Return a turn of forward and backward pass; it returns seconds per call."""
    return _calls(train, n_negatives, impl, arguments, backward=True)


def _calls(
    train: Interactions, n_negatives: int, impl: str, arguments: argparse.Namespace, *, backward: bool, calls: int = 20
) -> Callable[[], float]:
    rng = torch.Generator("cuda").manual_seed(0)
    make = functools.partial(torch.randn, generator=rng, device="cuda")
    batch = arguments.batch_size
    tables = [make(rows, arguments.embedding_dim, requires_grad=backward) for rows in (train.n_users, train.n_items)]
    draw = functools.partial(torch.randint, generator=rng, device="cuda")
    index = [draw(train.n_users, (batch,)), draw(train.n_items, (batch,)), draw(train.n_items, (batch, n_negatives))]
    upstream = [make(batch), make(batch, n_negatives)]
    upstream[1] *= torch.rand(batch, n_negatives, generator=rng, device="cuda") < ACTIVE

    def turn() -> float:
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(calls):
            found = sampled_scores(*tables, *index, sparse=True, impl=impl)
            if backward:
                torch.autograd.grad(found, tables, upstream)
        torch.cuda.synchronize()
        return (time.perf_counter() - started) / calls

    return turn


def epoch(train: Interactions, n_negatives: int, impl: str, arguments: argparse.Namespace) -> Callable[[], float]:
    """Return a turn of the general loop; it returns seconds per epoch."""
    encoder, negatives = MF(arguments.embedding_dim, init_std=INIT_STD), UniformNegatives()
    encoder.build(train, rng=np.random.default_rng(0))
    encoder.to("cuda")
    negatives.build(train)
    optimizer = LazyAdam(encoder.parameters(), lr=LEARNING_RATE)
    steps = engines.Steps(
        engines.Setting(
            train=train, encoder=encoder, loss=MultiMarginLoss(neg_weight=700).to("cuda"), negatives=negatives,
            optimizer=optimizer, n_negatives=n_negatives, batch_size=arguments.batch_size, clip_norm=CLIP_NORM,
            dropout=DROPOUT, negatives_key=1, dropout_key=2, positives_key=3, encoder_key=4,
        )
    )  # fmt: skip
    n, rng, place = len(train), np.random.default_rng(1), 0

    def turn() -> float:
        nonlocal place
        order = rng.permutation(n)[: arguments.steps * arguments.batch_size]
        automatic = engines.sampled_scores
        engines.sampled_scores = functools.partial(automatic, impl=impl)
        torch.cuda.synchronize()
        started = time.perf_counter()
        try:
            steps.run(order, 0, len(order), place=place)
        finally:
            engines.sampled_scores = automatic
        torch.cuda.synchronize()
        done = time.perf_counter()
        optimizer.settle()
        torch.cuda.synchronize()
        place += len(order)
        return (done - started) * n / len(order) + time.perf_counter() - done

    return turn


if __name__ == "__main__":
    main()
