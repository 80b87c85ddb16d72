"""One training epoch of matrix factorisation with the Multi-Margin Loss, against plain PyTorch, in one run.

    python benchmarks/training_epoch.py [--data ../shared/data/gowalla] [--negatives 10,100,800] [--rounds 5]

Three implementations, each in a process of its own, take turns, so that a busy machine slows all alike:

* ``pytorch``: gather, normalise, multiply, autograd, ``clip_grad_norm_``, dense ``torch.optim.Adam``, uniform negatives
  by ``torch.randint``; all cores. An epoch takes minutes, so each turn is ``--steps`` steps, scaled to the epoch.
* ``fused``: the whole-epoch kernel. Each turn is one epoch, the rows' catch-up at its end included.
* ``steps``: the same training through the general loop, any loss and sampler. Each turn is ``5 * --steps`` steps,
  scaled to the epoch, plus the catch-up once.

Ours are measured from the second epoch on: as few pairs have a gradient as later, and nothing is compiled any more.
Ratios are medians over the rounds of pytorch's time by ours in the same round. Peak memory is what is held above code
and data: tables, optimiser, the work of a step.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import measure
import numpy as np
import torch

from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary
from multimargin.encoders import MF
from multimargin.kernels.threads import get_threads
from multimargin.losses import MultiMarginLoss
from multimargin.negatives import UniformNegatives
from multimargin.optim import LazyAdam
from multimargin.train.engines import Setting, choose_engine

IMPLEMENTATIONS = ("pytorch", "fused", "steps")
LEARNING_RATE, DROPOUT, CLIP_NORM, INIT_STD = 1e-4, 0.1, 10.0, 1e-4  # the published run's on Gowalla
N_USERS, N_ITEMS, N_SEEN = 29_858, 40_981, 810_128  # Gowalla's, if its files are not there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/gowalla"), help="folder with train.txt")
    parser.add_argument("--negatives", default="10,100,800", help="N, one or more")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--embedding-dim", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="steps of pytorch in each round")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_name("results.csv"))
    parser.add_argument("--no-csv", action="store_true", help="append nothing")
    parser.add_argument("--worker", choices=IMPLEMENTATIONS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    print(f"{measure.processor()}, {get_threads()} threads, {measure.versions('torch', 'numba', 'numpy')}")
    for n_negatives in arguments.negatives.split(","):
        compare(arguments, n_negatives)


def compare(arguments: argparse.Namespace, n_negatives: str) -> None:
    """Let the implementations take turns; print and append their rows."""
    workers = {name: start(name, n_negatives) for name in IMPLEMENTATIONS}
    shape = {name: ask(worker) for name, worker in workers.items()}["fused"]["shape"]  # ready: data read, warmed up
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(arguments.rounds):
        for name, worker in workers.items():
            seconds[name].append(ask(worker, "turn")["seconds"])
    peaks = {name: ask(worker, "end")["peak"] for name, worker in workers.items()}
    for worker in workers.values():
        worker.wait()

    print(f"\n{shape}: seconds per epoch, {arguments.rounds} rounds")
    print(f"  {'':<9}{'p20':>9}{'median':>9}{'p80':>9}{'ratio':>9}{'peak MiB':>10}")
    rows = []
    hardware, versions = f"{get_threads()} threads {measure.processor()}", measure.versions("torch", "numba", "numpy")
    for name, times in seconds.items():
        low, middle, high = np.percentile(times, (20, 50, 80))
        ratio = np.median(np.array(seconds["pytorch"]) / times)
        print(f"  {name:<9}{low:9.2f}{middle:9.2f}{high:9.2f}{ratio:8.1f}x{peaks[name]:10.0f}", flush=True)
        numbers = [f"{number:.4g}" for number in (low, middle, high)]
        rows.append(["training epoch", name, shape, hardware, versions, *numbers, f"{peaks[name]:.0f}"])
    if not arguments.no_csv:
        measure.append(arguments.csv, rows)


def start(name: str, n_negatives: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, *sys.argv[1:], "--worker", name, "--negatives", n_negatives]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(worker: subprocess.Popen[str], what: str = "") -> dict:
    """Ask for a turn or for the end, or wait for the first word."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    if what:
        worker.stdin.write(what + "\n")
        worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"a worker ended with status {worker.wait()}")
    return json.loads(line)


def work(arguments: argparse.Namespace) -> None:
    """One implementation: warm up, then take a turn whenever asked."""
    prepare = by_pytorch if arguments.worker == "pytorch" else by_us
    prepare(generate(500, 500, 3000), arguments)()  # code is loaded, compiled if it has to be
    train = read(arguments.data)
    before = measure.held()
    turn = prepare(train, arguments)
    turn()
    measure.reset_peak()
    data = arguments.data.name if arguments.data.exists() else "generated"
    shape = f"{data} U={train.n_users} I={train.n_items} n={len(train)}"
    settings = f"D={arguments.embedding_dim} B={arguments.batch_size} N={arguments.negatives}"
    print(json.dumps({"shape": f"{shape} {settings}"}), flush=True)
    for line in sys.stdin:
        if line.strip() == "end":
            break
        print(json.dumps({"seconds": turn()}), flush=True)
    print(json.dumps({"peak": measure.peak() - before}), flush=True)


def by_us(train: Interactions, arguments: argparse.Namespace) -> Callable[[], float]:
    """Return a turn of one of the two engines; it returns seconds per epoch."""
    encoder, negatives = MF(arguments.embedding_dim, init_std=INIT_STD), UniformNegatives()
    encoder.build(train, rng=np.random.default_rng(0))
    negatives.build(train)
    optimizer = LazyAdam(encoder.parameters(), lr=LEARNING_RATE)
    setting = Setting(
        train=train, encoder=encoder, loss=MultiMarginLoss(), negatives=negatives, optimizer=optimizer,
        n_negatives=int(arguments.negatives), batch_size=arguments.batch_size, clip_norm=CLIP_NORM, dropout=DROPOUT,
        negatives_key=1, dropout_key=2,
    )  # fmt: skip
    n, rng = len(train), np.random.default_rng(1)
    fused, place = choose_engine("fused", setting), 0

    def epoch() -> float:
        nonlocal place
        started = time.perf_counter()
        fused.run(rng.permutation(n), 0, n, place=place)
        optimizer.settle()
        place += n
        return time.perf_counter() - started

    if arguments.worker == "fused":
        return epoch
    epoch()  # the general loop's turns are parts of a second epoch
    steps, size = choose_engine("steps", setting), 5 * arguments.steps * arguments.batch_size

    def some_steps() -> float:
        nonlocal place
        order = rng.permutation(n)[:size]
        started = time.perf_counter()
        steps.run(order, 0, len(order), place=place)
        done = time.perf_counter()
        optimizer.settle()
        place += len(order)
        return (done - started) * n / len(order) + time.perf_counter() - done

    return some_steps


def by_pytorch(train: Interactions, arguments: argparse.Namespace) -> Callable[[], float]:
    """Return a turn of the loop everybody writes first; it returns seconds per epoch."""
    torch.manual_seed(0)
    user_table, item_table = (
        torch.nn.Parameter(INIT_STD * torch.randn(rows, arguments.embedding_dim))
        for rows in (train.n_users, train.n_items)
    )
    parameters = [user_table, item_table]
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    loss, n_negatives = MultiMarginLoss(), int(arguments.negatives)
    all_users, all_items = (torch.from_numpy(x.astype(np.int64)) for x in (train.user_index, train.indices))
    n_steps = -(-len(train) // arguments.batch_size)

    def step(pairs: torch.Tensor) -> None:
        users, positives = all_users[pairs], all_items[pairs]  # (B,)
        negatives = torch.randint(train.n_items, (len(pairs), n_negatives))  # (B, N)
        query = torch.nn.functional.embedding(users, user_table)  # (B, D)
        positive = torch.nn.functional.embedding(positives, item_table)  # (B, D)
        negative = torch.nn.functional.embedding(negatives, item_table)  # (B, N, D)
        query, positive, negative = (torch.nn.functional.normalize(x, dim=-1) for x in (query, positive, negative))
        query = torch.nn.functional.dropout(query, DROPOUT)
        neg_scores = torch.bmm(negative, query[:, :, None]).squeeze(-1)  # (B, N)
        push = sum(w * (neg_scores - m).relu() for m, w in zip(loss.margins, loss.margin_weights, strict=True))
        pull = (1 - (query * positive).sum(-1)).relu()  # (B,)
        value = (loss.pos_weight * pull + loss.neg_weight * push.mean(-1)).mean()
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimizer.step()
        value.item()

    def some_steps() -> float:
        order = torch.randperm(len(train))[: arguments.steps * arguments.batch_size]
        started = time.perf_counter()
        batches = order.split(arguments.batch_size)
        for pairs in batches:
            step(pairs)
        return (time.perf_counter() - started) * n_steps / len(batches)

    return some_steps


def read(folder: Path) -> Interactions:
    """Return the training data in ``folder``; of Gowalla's size, but uniform, if it is not there."""
    if folder.exists():
        from multimargin.data.readers import read_parts

        return read_parts(folder).train
    return generate(N_USERS, N_ITEMS, N_SEEN)


def generate(n_users: int, n_items: int, size: int) -> Interactions:
    rng = np.random.default_rng(0)
    vocabularies = Vocabulary.range(n_users, kind="user"), Vocabulary.range(n_items, kind="item")
    users, items = (rng.integers(rows, size=size) for rows in (n_users, n_items))
    return Interactions.from_pairs(users, items, *vocabularies)


if __name__ == "__main__":
    main()
