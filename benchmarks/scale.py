"""A hundred times Gowalla: generated data read, trained on, evaluated and saved, with the memory that each takes.

    python benchmarks/scale.py make FOLDER [--interactions 1e8] [--users 1e6] [--items 1e6] [--format txt]
    python benchmarks/scale.py run FOLDER [--negatives 100] [--embedding-dim 64] [--share 1] [--sample 10000]

``make`` writes ``train.txt`` and ``test.txt`` (``--format txt``) or one log, ``log.csv`` or ``log.parquet``, some
thousand users at a time. ``run`` trains MF with the Multi-Margin Loss on Gowalla and on FOLDER with the same engine in
the same process, by turns an epoch and a hundredth of one until ``--share`` of an epoch is done, and says what an
interaction costs in both; then evaluates a sample of users and saves the model. ``--read-only`` stops after reading.
Memory is the most that the process held during a phase, everything included.
"""

import argparse
import contextlib
import math
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import measure
import numpy as np
import polars as pl
from numpy.typing import NDArray
from training_epoch import CLIP_NORM, DROPOUT, INIT_STD, LEARNING_RATE

from multimargin.data import Interactions, RandomPerUser, read_any
from multimargin.encoders import MF
from multimargin.evaluate import Evaluator
from multimargin.kernels.threads import get_threads
from multimargin.losses import MultiMarginLoss
from multimargin.negatives import UniformNegatives
from multimargin.optim import LazyAdam
from multimargin.recommend import Recommender
from multimargin.recommend.export import write_frames
from multimargin.train.engines import choose_engine
from multimargin.train.setting import Setting

Frame = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]  # users, items, whether held out

_PER_BLOCK = 2_000_000  # interactions that are made at a time
_CLUSTER = 500  # items of one kind
_KINDS = 3  # that a user likes
_OWN = 0.8  # share of a user's interactions within them
_TAIL = 0.6  # the r-th most popular item is taken in proportion to r ** -_TAIL
_HELD_OUT = 0.1
_STRETCHES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    made = commands.add_parser("make", help="write generated data")
    made.add_argument("folder", type=Path)
    made.add_argument("--interactions", type=float, default=1e8, help="of train and test together")
    made.add_argument("--users", type=float, default=1e6)
    made.add_argument("--items", type=float, default=1e6)
    made.add_argument("--format", choices=("txt", "csv", "parquet"), default="txt")
    made.set_defaults(run=make)
    ran = commands.add_parser("run", help="measure")
    ran.add_argument("folder", type=Path)
    ran.add_argument("--gowalla", type=Path, default=Path("../shared/data/gowalla"), help="what is compared with")
    ran.add_argument("--read-only", action="store_true")
    ran.add_argument("--negatives", type=int, default=100, help="N")
    ran.add_argument("--embedding-dim", type=int, default=64, help="D")
    ran.add_argument("--batch-size", type=int, default=256, help="B")
    ran.add_argument("--share", type=float, default=1.0, help="of an epoch that is trained on")
    ran.add_argument("--sample", type=int, default=10_000, help="users who are evaluated; 0: none")
    ran.add_argument("--no-save", action="store_true", help="leave out saving the model")
    ran.set_defaults(run=run)
    arguments = parser.parse_args()
    arguments.run(arguments)


def make(arguments: argparse.Namespace) -> None:
    n, users, items = (int(number) for number in (arguments.interactions, arguments.users, arguments.items))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    if arguments.format == "txt":
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context((arguments.folder / f"{name}.txt").open("wb")) for name in ("train", "test")]
            for user, item, held_out in blocks(n, users, items):
                for file, rows in zip(files, (~held_out, held_out), strict=True):
                    _write_lines(file, user[rows], item[rows])
    else:
        frames = (pl.DataFrame({"user_id": user, "item_id": item}) for user, item, _ in blocks(n, users, items))
        write_frames(arguments.folder / f"log.{arguments.format}", frames)
    size = sum(path.stat().st_size for path in arguments.folder.iterdir()) / 2**20
    _say("make", started, f"{size:,.0f} MiB in {arguments.folder}")


def blocks(n: int, n_users: int, n_items: int) -> Iterator[Frame]:
    """Make about ``n`` distinct pairs, some thousand users at a time.

    A user likes some kinds of items and takes most from them, the rest from everywhere, popular ones more often. Items
    are numbered so that neither kinds nor popular ones stand together.
    """
    rng = np.random.default_rng(0)
    n_kinds = max(n_items // _CLUSTER, 1)
    step = next(each for each in range(int(n_items * 0.618), 2 * n_items) if math.gcd(each, n_items) == 1)
    mean, size = n / n_users, max(int(_PER_BLOCK * n_users / n), 1)
    for start in range(0, n_users, size):
        users = np.arange(start, min(start + size, n_users))
        counts = np.clip(rng.geometric(1 / mean, len(users)), 2, n_items // 4)
        user = np.repeat(users, counts)
        liked = rng.integers(n_kinds, size=(len(users), _KINDS))
        kind = liked[user - start, rng.integers(_KINDS, size=len(user))]
        place = rng.random(len(user)) ** (1 / (1 - _TAIL))
        own = rng.random(len(user)) < _OWN
        rank = np.where(own, (place * (n_items // n_kinds)).astype(np.int64) * n_kinds + kind, place * n_items)
        keys = np.unique(user * n_items + rank.astype(np.int64) * step % n_items)
        user, item = keys // n_items, keys % n_items
        mean *= mean * len(users) / len(keys) if start == 0 else 1  # repeats are gone
        first = np.append(True, user[1:] != user[:-1])
        yield user, item, (rng.random(len(user)) < _HELD_OUT) & ~first


def run(arguments: argparse.Namespace) -> None:
    hardware = f"{get_threads()} threads {measure.processor()}"
    print(f"{hardware}, {measure.versions('torch', 'numba', 'numpy', 'polars')}\n{_huge_pages()}", flush=True)
    train, test = _read(arguments.folder)
    if arguments.read_only:
        return
    measure.reset_peak()
    started = time.perf_counter()
    training = Training(train, arguments)
    _say("build", started)
    gowalla = Training(_read(arguments.gowalla)[0], arguments) if arguments.gowalla.exists() else None
    measure.reset_peak()
    started = time.perf_counter()
    for turn in range(max(round(arguments.share * _STRETCHES), 1)):
        if gowalla:
            gowalla.stretch(whole=True)  # by turns, so that a busy machine slows both alike
            if turn == 0:
                gowalla.costs.clear()  # it was compiled
        training.stretch(whole=False)
    settled = training.settle()
    _say("train", started, f"{training.place:,} interactions" + ", and Gowalla's turns" * (gowalla is not None))
    print(f"{'':<10} {training}, settling {1e6 * settled / len(train):.3f} us")
    if gowalla:
        ratio = np.median(np.array(training.costs[1:]) / gowalla.costs) if gowalla.costs else math.nan
        print(f"{'':<10} Gowalla: {gowalla}\n{'':<10} an interaction costs {ratio:.2f} times Gowalla's", flush=True)
    encoder = training.encoder
    tables = [table.detach().numpy() for table in encoder.tables()]
    if arguments.sample:
        measure.reset_peak()
        started = time.perf_counter()
        evaluation = Evaluator(test, seen=train, n_users=arguments.sample)(*tables, encoder.similarity)
        _say("evaluate", started, f"{evaluation.n_users:,} users, Recall@20 {evaluation['Recall@20']:.4f}")
    if not arguments.no_save:
        measure.reset_peak()
        started = time.perf_counter()
        folder = Path(tempfile.mkdtemp(dir=arguments.folder))
        try:
            Recommender(*tables, similarity=encoder.similarity, seen=train).save(folder)
            _say("save", started, f"{sum(path.stat().st_size for path in folder.iterdir()) / 2**20:,.0f} MiB")
        finally:
            shutil.rmtree(folder)


def _read(folder: Path) -> tuple[Interactions, Interactions]:
    measure.reset_peak()
    started = time.perf_counter()
    found = read_any(folder)
    if isinstance(found, Interactions):
        _say("read", started, f"{found!r}")
        measure.reset_peak()
        started = time.perf_counter()
        found = found.split(RandomPerUser(valid=0.0, test=0.1), rng=0)
        _say("split", started)
    else:
        _say("read", started, f"{found!r}")
    assert found.test is not None
    return found.train, found.test


class Training:
    """MF with the Multi-Margin Loss, one stretch after the other."""

    def __init__(self, train: Interactions, arguments: argparse.Namespace):
        self.encoder, negatives = MF(arguments.embedding_dim, init_std=INIT_STD), UniformNegatives()
        self.encoder.build(train, rng=np.random.default_rng(0))
        negatives.build(train)
        self._setting = Setting(
            train=train,
            encoder=self.encoder,
            loss=MultiMarginLoss(neg_weight=700),
            negatives=negatives,
            optimizer=LazyAdam(self.encoder.parameters(), lr=LEARNING_RATE),
            n_negatives=arguments.negatives,
            batch_size=arguments.batch_size,
            clip_norm=CLIP_NORM,
            dropout=DROPOUT,
            negatives_key=1,
            dropout_key=2,
            positives_key=3,
            encoder_key=4,
        )
        self._engine = choose_engine("fused", self._setting)
        self._rng, self._n = np.random.default_rng(1), len(train)
        self.place, self.shuffled, self.lost = 0, 0.0, 0.0
        self.costs: list[float] = []  # seconds of an interaction in each stretch

    def stretch(self, *, whole: bool) -> None:
        """Train on the next hundredth of an epoch, or on a whole one, settled."""
        size = self._setting.batch_size
        length = self._n if whole else -(-self._n // _STRETCHES // size) * size
        first = self.place % self._n
        if first == 0:
            started = time.perf_counter()
            self._order = self._setting.batches.order(self._rng)
            self.shuffled = (time.perf_counter() - started) / self._n
        last = min(first + length, self._n)
        started = time.perf_counter()
        self.lost = self._engine.run(self._order, first, last, place=self.place - first) / (last - first)
        if whole:
            self.settle()
        self.costs.append((time.perf_counter() - started) / (last - first))
        self.place += last - first

    def settle(self) -> float:
        started = time.perf_counter()
        self._setting.optimizer.settle()
        return time.perf_counter() - started

    def __str__(self) -> str:
        low, middle, high = 1e6 * np.percentile(self.costs or [math.nan], (20, 50, 80))
        text = f"{middle:.3f} us an interaction (20th and 80th percentile of stretches {low:.3f}, {high:.3f};"
        text += (
            " first and last "
            + ", ".join(f"{1e6 * each:.3f}" for each in self.costs[:: len(self.costs) - 1 or 1])
            + ")"
        )
        return f"{text}, shuffling {1e6 * self.shuffled:.3f} us, loss {self.lost:.4f}"


def _write_lines(file: "contextlib.IO[bytes]", user: NDArray[np.int64], item: NDArray[np.int64]) -> None:
    texts = pl.DataFrame({"user": user, "item": pl.Series(item).cast(pl.String)})
    lines = texts.group_by("user", maintain_order=True).agg(pl.col("item").str.join(" "))
    joined = lines.select(pl.concat_str(pl.col("user").cast(pl.String), "item", separator=" "))
    joined.write_csv(file, include_header=False, quote_style="never")


def _say(phase: str, started: float, what: str = "") -> None:
    print(f"{phase:<10}{time.perf_counter() - started:9.1f} s{measure.peak():9,.0f} MiB  {what}", flush=True)


def _huge_pages() -> str:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return f"huge pages: {setting.read_text().strip() if setting.exists() else 'unknown'}"


if __name__ == "__main__":
    main()
