"""Measure ours against plain PyTorch and other libraries, in one run and in turns.

    python benchmarks/run.py [OP ...] [--quick] [--data ../shared/data/gowalla] [--only NAME ...]

Every implementation is a process of its own and works when it is its turn, so that a busy machine slows all alike.
Ratios are what counts: the median over the rounds of the first one's time by an implementation's in the same round.
Peak memory is what a process holds above code and data (of a whole process: all that it holds; Linux only).
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

import data
import encoders_epoch
import fit_to_target
import lightgcn_epoch
import losses_epoch
import measure
import numpy as np
import peers
import ranking
import sasrec_epoch
import shared_negatives
import training_epoch
import turns

from multimargin.kernels.threads import get_threads

OPS: Mapping[str, turns.Op] = {
    "training-epoch": training_epoch.OP,
    "shared-negatives": shared_negatives.OP,
    "losses-epoch": losses_epoch.LOSSES_OP,
    "samplers-epoch": losses_epoch.SAMPLERS_OP,
    "lightgcn-epoch": lightgcn_epoch.OP,
    "encoders-epoch": encoders_epoch.OP,
    "sasrec-epoch": sasrec_epoch.OP,
    "top-k": ranking.TOP_K,
    "evaluation": ranking.EVALUATION,
    "fit-to-target": fit_to_target.OP,
}
GOWALLA = 29_858, 40_981, 34.4  # users, items, items per user: what is made up where the data are not
TINY = 200, 150, 12.0
SIZES = {"batch_size": 64, "graph_batch_size": 64, "sequence_batch_size": 64, "max_length": 8, "embedding_dim": 8}
QUICK = {"rounds": 1, "negatives": [5], "steps": 2, "target": 0.1, **SIZES}


def main() -> None:
    arguments = parse()
    if arguments.work:
        turns.work(OPS)
        return
    print(f"{measure.processor()}, {get_threads()} threads, {measure.versions('torch', 'numba', 'numpy')}")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        arguments.tiny, arguments.spectral = data.make_up(scratch / "tiny", *TINY), scratch / "spectral.npz"
        if arguments.quick:
            arguments.data = arguments.tiny
        elif not arguments.data.exists():
            print(f"{arguments.data} is not there: data of Gowalla's size is made up.")
            arguments.data = data.make_up(scratch / "generated", *GOWALLA)
        if arguments.tables == "spectral" and any(OPS[name].tables for name in arguments.ops):
            data.write_spectral(arguments.spectral, arguments.data, arguments.embedding_dim)
        for name in arguments.ops:
            for case in OPS[name].cases(arguments):
                rows = compare(name, argparse.Namespace(**vars(arguments) | case))
                if not arguments.no_csv:
                    measure.append(arguments.csv, rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("ops", nargs="*", metavar="OP", help=f"what to measure: {', '.join(OPS)}; default: all")
    add("--quick", action="store_true", help="one round on a tiny made-up data set, to see that everything runs")
    add(
        "--data",
        type=Path,
        default=Path("../shared/data/gowalla"),
        help="folder with train.txt and test.txt, or sequences.txt",
    )
    add("--only", nargs="+", metavar="NAME", help="only implementations whose names contain one of these")
    add("--rounds", type=int, default=5)
    add("--embedding-dim", type=int, default=64)
    add("--csv", type=Path, default=Path(__file__).with_name("results.csv"))
    add("--no-csv", action="store_true", help="append nothing")
    group = parser.add_argument_group("training-epoch, shared-negatives, losses-epoch, samplers-epoch").add_argument
    group("--negatives", type=int, nargs="+", default=[10, 100, 800], metavar="N")
    group("--batch-size", type=int, default=256)
    group("--steps", type=int, default=20, help="steps of pytorch, a fifth of the general loop's")
    group = parser.add_argument_group("lightgcn-epoch, encoders-epoch, sasrec-epoch").add_argument
    group("--graph-batch-size", type=int, default=2048, help="of the first two")
    group("--sequence-batch-size", type=int, default=4096, help="interactions of a step of sasrec-epoch")
    group("--max-length", type=int, default=50, help="items of a sequence there")
    group = parser.add_argument_group("top-k, evaluation").add_argument
    group("--tables", choices=("spectral", "random"), default="spectral", help="crowded as trained ones are, or not")
    group = parser.add_argument_group("fit-to-target").add_argument
    group("--target", type=float, default=0.149, help="of Recall@20 on the test part")
    group("--budget", type=float, default=60.0, help="seconds of training after which a turn gives up")
    group("--recipe", help="name or file for ours; default: fit_to_target.FAST")
    group("--set", nargs="+", default=[], metavar="KEY=VALUE", help="overrides of the recipe")
    add("--work", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().quick:
        parser.set_defaults(**QUICK)
    arguments = parser.parse_args()
    arguments.ops = arguments.ops or list(OPS)
    for name in arguments.ops:
        if name not in OPS:
            parser.error(f"OP must be one of {', '.join(OPS)}; got {name!r}.")
    return arguments


def compare(op: str, arguments: argparse.Namespace) -> list[list[str]]:
    """Let the implementations of an operation take turns; print a table and return the rows for the file."""
    names = chosen(op, arguments.only)
    words = {name: {**vars(arguments), "op": op, "worker": name} for name in names}
    measured = (turns.take_fresh if OPS[op].fresh else turns.take)(words, arguments.rounds)
    hardware = f"{get_threads()} threads {measure.processor()}"
    print(f"\n{op}, {arguments.rounds} rounds, seconds")
    width = max(map(len, measured))
    print(f"  {'':<{width}}{'p20':>10}{'median':>10}{'p80':>10}{'ratio':>9}{'MiB':>7}")
    rows = []
    for label, found in measured.items():
        low, middle, high = (f"{number:.4g}" for number in np.percentile(found.seconds, (20, 50, 80)))
        ratio = np.median(np.array(measured[found.base].seconds) / found.seconds)
        print(f"  {label:<{width}}{low:>10}{middle:>10}{high:>10}{ratio:>8.2f}x{found.peak:>7.0f}  {found.note}")
        print(f"  {'':<{width}}    {found.shape}", flush=True)
        packages = ["torch", "numba", "numpy", *filter(None, [peers.package(label)])]
        shape = ", ".join(filter(None, [found.shape, found.note]))
        rows.append([op, label, shape, hardware, measure.versions(*packages), low, middle, high, f"{found.peak:.0f}"])
    return rows


def chosen(op: str, only: list[str] | None) -> list[str]:
    """Return the implementations that were asked for and are installed."""
    wanted = [name for name in OPS[op].implementations if only is None or any(part in name for part in only)]
    for name in wanted:
        if not peers.is_installed(name):
            print(f"{name} is left out, not being installed: pip install -r benchmarks/requirements.txt")
    wanted = [name for name in wanted if peers.is_installed(name)]
    if not wanted:
        raise SystemExit(f"--only must name an implementation of {op}: {', '.join(OPS[op].implementations)}.")
    return wanted


if __name__ == "__main__":
    main()
