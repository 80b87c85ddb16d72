"""Exact lists of the 20 best unseen items for everybody, and the metrics of such lists.

All rank by the same tables. ``top-k`` makes the lists; ``evaluation`` also compares them with the test part. Of what a
peer is far slower at, a turn is a sample, scaled.

What was tried on two Zen 4 cores (AVX-512 VNNI, shared with other jobs), Gowalla's size, D = 64, and what was kept:

* Products per core, 128 x 2048 tiles: float32 65-75, bfloat16 150-170, int8 (``torch._int_mm``) 350-370 Gop/s. int8
  kept. bfloat16 lies between and is not worth a third path; NumPy's OpenBLAS is as fast as MKL in float32 but brings a
  pool of its own. Whole rows (128 x 40,981) halve every rate: the tile must fit the second-level cache.
* Blocks of 512 users by tiles of 512 items, all in all: a fifth to a quarter less CPU time than 128 x 2048, for a
  tile's item vectors then stay near while many users re-score them; 1024 x 512 is no better.
* Test of a chunk, all pairs on one core: a running maximum compiles to scalar code (0.7 s), counting what reaches the
  limit to vectors (0.1 s). Chunks of 32 or 16 items cost more in limits than they save in re-scoring.
* A random rotation before rounding halves the pairs that survive int8 (spectral tables: from 1,670 to 720 a user, of
  which 360 cannot be told from the list at int8 precision whatever the order; random tables: 210).
* Finding which of a chunk's 64 pairs survive: a running position, 0.5 s on one core; flags read eight at a time, 0.2 s.
  Their float32 scores together, before any branch: 0.2 s; seen lists, exact scores and heaps: 0.2 to 0.3 s.
"""

import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from data import Data
from numpy.typing import NDArray
from peers import PEERS, K
from plain import metrics, rank
from turns import Op, Prepare, Work

from multimargin.evaluate.protocol import Evaluator
from multimargin.recommend.top_k import Catalogue, SeenItems, top_k

SHOWN = f"Recall@{K}"


def make_lists(by: Callable[[Data, Namespace], Callable[[], NDArray[Any]]]) -> Prepare:
    """Return the work of making lists; what comes out is how many places are as in ours."""

    def prepare(data: Data, arguments: Namespace) -> Work:
        expected = _ours(data, "float32")()
        lists = by(data, arguments)

        def turn() -> tuple[float, str]:
            started = time.perf_counter()
            found = lists()
            seconds = time.perf_counter() - started
            same = f"{100 * (found == expected[: len(found)]).mean():.2f} % of places as in ours"
            return seconds * len(expected) / len(found), same

        return Work(_settings(arguments), turn)

    return prepare


def take_metrics(by: Callable[[Data, Namespace], Callable[[], str]]) -> Prepare:
    """Return the work of evaluating."""

    def prepare(data: Data, arguments: Namespace) -> Work:
        measured = by(data, arguments)

        def turn() -> tuple[float, str]:
            started = time.perf_counter()
            shown = measured()
            return time.perf_counter() - started, shown

        return Work(_settings(arguments), turn)

    return prepare


def _ours(data: Data, screen: str) -> Callable[[], NDArray[Any]]:
    users, items = data.tables
    seen = SeenItems(data.train.indptr, data.train.indices)
    return lambda: top_k(users, Catalogue(items, screen=screen), K, seen=seen)[0]


def _plain(data: Data, block: int, *, keep_buffer: bool = False) -> Callable[[], NDArray[Any]]:
    return lambda: rank(data.tables, data.train, K, block=block, keep_buffer=keep_buffer)


def _by_peer(data: Data, arguments: Namespace) -> Any:
    peer = PEERS[arguments.worker](data, arguments)
    peer.use(data.tables)
    return peer


def _evaluate(data: Data, cuts: tuple[int, ...]) -> Callable[[], str]:
    evaluator = Evaluator(data.test, seen=data.train, k=cuts, protocol="paper")
    return lambda: f"{SHOWN} {evaluator(*data.tables, 'dot')[SHOWN]:.4f}"


def _evaluate_plainly(data: Data) -> Callable[[], str]:
    lists = _plain(data, 1024)
    return lambda: f"{SHOWN} {metrics(lists(), data)[SHOWN]:.4f}"


def _settings(arguments: Namespace) -> str:
    return f"D={arguments.embedding_dim} k={K} {arguments.tables} tables"


TOP_K = Op(
    implementations={
        "pytorch, blocks of 1024": make_lists(lambda data, _: _plain(data, 1024)),
        "pytorch, blocks of 256": make_lists(lambda data, _: _plain(data, 256)),
        "pytorch, 256, buffer kept": make_lists(lambda data, _: _plain(data, 256, keep_buffer=True)),
        "top-k float32": make_lists(lambda data, _: _ours(data, "float32")),
        "top-k": make_lists(lambda data, _: _ours(data, "auto")),  # int8 where that is exact and faster
        "implicit ALS": make_lists(lambda data, arguments: _by_peer(data, arguments).recommend),
        "LensKit ALS": make_lists(lambda data, arguments: _by_peer(data, arguments).recommend),
    },
    tables=True,
)
EVALUATION = Op(
    implementations={
        "pytorch": take_metrics(lambda data, _: _evaluate_plainly(data)),
        "evaluate, k = 20": take_metrics(lambda data, _: _evaluate(data, (K,))),
        "evaluate, k = 20, 50": take_metrics(lambda data, _: _evaluate(data, (K, 50))),
        "implicit ALS": take_metrics(lambda data, arguments: _by_peer(data, arguments).evaluate),
        "RecBole BPR": take_metrics(lambda data, arguments: _by_peer(data, arguments).evaluate),
    },
    tables=True,
)
