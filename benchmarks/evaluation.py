"""Full ranking at k = 20 for everybody, against torch.mm + mask + topk in blocks, in one run.

    python benchmarks/evaluation.py [--data ../shared/data/gowalla] [--tables spectral|random] [--rounds 5] [--csv FILE]

Every implementation runs once per round, in turn, so that a busy machine slows all alike; ratios are of medians. Peak
memory is what the process held beyond its state before the call (Linux). ``evaluate`` is ranking plus six
metrics at each cut-off.

With ``pip install implicit`` its ``recommend`` for all users runs too, on the same tables.

What was tried on two Zen 4 cores (AVX-512 VNNI, shared with other jobs), Gowalla's size, D = 64, and what was kept.
Times are of one core for all users, spectral tables:

* Products per core: float32 65-75, bfloat16 150-170, int8 through ``torch._int_mm`` 350-370 Gop/s, int8 in a kernel of
  ours 390-420, comparison with the limit included: 0.38 s, and no product is written. Kept for int8 and, since it also
  beats a matrix library followed by a scan (2.2 s against 3.1 s), for float32.
* 4 users x 64 items at a time; 5 or 6 users are no faster and compile longer. A kernel for one number of columns only
  is no faster than a loop over words.
* Blocks of 512 users by tiles of 512 items: a tile's item vectors stay near while many users re-score them.
* A random rotation before rounding halves the pairs that survive int8. A step for each item instead of each chunk
  would leave a sixth fewer, but then limits are computed for every pair. Chunks of items with alike steps leave as
  few, but tear apart items that are neighbours in the data and survive together: in all no faster.
* Of 40,981 pairs of a user 820 survive, 240 need an exact score and 210 enter the heap; at the final limit 390 survive.
  A first limit from 32 sampled chunks: 590, 140 and 120 (0.04 s spent, 0.45 s saved). From the first 32 chunks a tenth
  slower; 16, 48 or 64 chunks no faster. Last evaluation's lists would give nearly the final limit; not done, as the
  state would have to be kept and passed around.
* What is left beside products: limits 0.05 s; finding the survivors' bits 0.05 s; their float32 scores together, before
  any branch, 0.2 s; seen lists, exact scores and heaps 0.2 s; rotating, rounding and sorting 0.05 s.
* Hits by a search in one sorted array of all held-out pairs took 32 ms, a compiled loop over each user's takes 4.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import measure
import numpy as np
import scipy.sparse.linalg
import torch

from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary
from multimargin.evaluate.protocol import Evaluator
from multimargin.kernels.threads import get_threads
from multimargin.recommend.top_k import Catalogue, SeenItems, normalised, top_k

K = 20
DIM = 64
N_USERS, N_ITEMS, N_SEEN, N_HELD_OUT = 29_858, 40_981, 810_128, 217_242  # Gowalla's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/gowalla"))
    parser.add_argument("--tables", choices=("spectral", "random"), default="spectral")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", type=Path, default=None)
    arguments = parser.parse_args()

    train, test = read(arguments.data) if arguments.data.exists() else generate()
    users, items = spectral(train) if arguments.tables == "spectral" else random_tables(train)
    runs = implementations(users, items, train, test)
    print(f"{train.n_users:,} users x {train.n_items:,} items, D = {DIM}, k = {K}, {arguments.tables} tables, cosine")
    print(f"{get_threads()} threads, torch {torch.__version__}, numpy {np.__version__}, {measure.processor()}")

    lists = {name: run() for name, run in runs.items()}  # compile, fill caches, keep for comparison
    reference = lists["top-k float32"]
    for name, found in lists.items():
        if isinstance(found, np.ndarray):
            print(f"  {name:<34} {100 * (found == reference).mean():.4f} % of places equal")
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    peak = dict.fromkeys(runs, 0.0)
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            measure.reset_peak()
            before = measure.held()
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
            peak[name] = max(peak[name], measure.peak() - before)
    rows = []
    base = np.median(seconds["torch mm+mask+topk 1024"])
    for name, times in seconds.items():
        p20, p50, p80 = np.percentile(times, (20, 50, 80))
        print(f"{name:<36} {p50:7.3f} s  (p20 {p20:.3f}, p80 {p80:.3f})  {base / p50:6.2f} x  {peak[name]:7.0f} MiB")
        shape = f"{train.n_users}x{train.n_items}x{DIM} k{K} {arguments.tables}"
        versions = measure.versions("torch", "numpy")
        hardware = f"{get_threads()} threads {measure.processor()}"
        numbers = [f"{number:.4g}" for number in (p20, p50, p80)]
        rows.append(["evaluation", name, shape, hardware, versions, *numbers, f"{peak[name]:.0f}"])
    if arguments.csv is not None:
        measure.append(arguments.csv, rows)


def implementations(
    users: np.ndarray, items: np.ndarray, train: Interactions, test: Interactions
) -> dict[str, Callable[[], object]]:
    users, items = normalised(users), normalised(items)
    seen = SeenItems(train.indptr, train.indices)
    evaluators = {cuts: Evaluator(test, seen=train, k=cuts) for cuts in ((K,), (K, 50))}

    def ours(screen: str) -> np.ndarray:
        return top_k(users, Catalogue(items, screen=screen), K, seen=seen)[0]

    runs: dict[str, Callable[[], object]] = {
        "torch mm+mask+topk 256": lambda: by_torch(users, items, train, 256),
        "torch mm+mask+topk 1024": lambda: by_torch(users, items, train, 1024),
        "torch, buffer kept, 256": lambda: by_torch(users, items, train, 256, keep_buffer=True),
        "top-k float32": lambda: ours("float32"),
    }
    if Catalogue(items[:64]).screen == "int8":
        runs["top-k int8"] = lambda: ours("int8")
    for cuts, evaluator in evaluators.items():
        runs[f"evaluate, k = {', '.join(map(str, cuts))}"] = lambda measure=evaluator: measure(users, items, "dot")
    if importlib.util.find_spec("implicit"):
        runs["implicit, recommend"] = by_implicit(users, items, train)
    return runs


def by_torch(
    users: np.ndarray, items: np.ndarray, train: Interactions, block: int, *, keep_buffer: bool = False
) -> np.ndarray:
    user_table, item_table = torch.from_numpy(users), torch.from_numpy(items)
    rows, columns = (
        torch.from_numpy(train.user_index.astype(np.int64)),
        torch.from_numpy(train.indices.astype(np.int64)),
    )
    index = np.empty((len(users), K), dtype=np.int64)
    buffer = torch.empty(block, len(items))
    for start in range(0, len(users), block):
        part = user_table[start : start + block]
        if keep_buffer:
            scores = torch.mm(part, item_table.t(), out=buffer[: len(part)])
        else:
            scores = torch.mm(part, item_table.t())
        first, last = train.indptr[start], train.indptr[min(start + block, len(users))]
        scores[rows[first:last] - start, columns[first:last]] = -torch.inf
        index[start : start + len(part)] = scores.topk(K).indices.numpy()
    return index


def by_implicit(users: np.ndarray, items: np.ndarray, train: Interactions) -> Callable[[], np.ndarray]:
    from implicit.cpu.als import AlternatingLeastSquares  # codespell:ignore als

    model = AlternatingLeastSquares(factors=DIM, num_threads=get_threads())
    model.user_factors, model.item_factors = users, items
    everybody, seen = np.arange(len(users)), scipy.sparse.csr_matrix(train.to_csr())
    return lambda: model.recommend(everybody, seen, N=K, filter_already_liked_items=True)[0]


def read(folder: Path) -> tuple[Interactions, Interactions]:
    from multimargin.data.readers import read_parts

    split = read_parts(folder)
    assert split.test is not None
    return split.train, split.test


def generate() -> tuple[Interactions, Interactions]:
    rng = np.random.default_rng(0)
    vocabularies = Vocabulary.range(N_USERS, kind="user"), Vocabulary.range(N_ITEMS, kind="item")

    def drawn(n: int) -> Interactions:
        return Interactions.from_pairs(rng.integers(N_USERS, size=n), rng.integers(N_ITEMS, size=n), *vocabularies)

    return drawn(N_SEEN), drawn(N_HELD_OUT)


def spectral(train: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Factor the normalised interactions: tables with the crowding of trained ones, without training."""
    matrix = train.to_csr()
    by_user = scipy.sparse.diags_array(1 / np.sqrt(np.maximum(train.user_counts, 1)))
    by_item = scipy.sparse.diags_array(1 / np.sqrt(np.maximum(train.item_counts, 1)))
    left, values, right = scipy.sparse.linalg.svds((by_user @ matrix @ by_item).astype(np.float32), k=DIM, rng=0)
    root = np.sqrt(values)
    return (left * root).astype(np.float32), (right.T * root).astype(np.float32)


def random_tables(train: Interactions) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal((n, DIM), dtype=np.float32) for n in (train.n_users, train.n_items))


if __name__ == "__main__":
    main()
