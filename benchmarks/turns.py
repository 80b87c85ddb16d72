"""Implementations in processes of their own that work when asked, so that a busy machine slows all alike."""

import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import data
import measure

from multimargin.kernels.threads import get_threads


class Work(NamedTuple):
    """An implementation, ready to work.

    Args:
        settings: what it works on beside the data.
        turn: works once; returns seconds and what came out, in a few words.
    """

    settings: str
    turn: Callable[[], tuple[float, str]]


Prepare = Callable[[data.Data, Namespace], Work]


class Op(NamedTuple):
    """Something to measure.

    Args:
        implementations: the first is what the others are compared with.
        cases: arguments in which its comparisons differ.
        fresh: every turn is a process of its own, which is timed as a whole too.
        tables: it ranks by tables that are computed once.
    """

    implementations: Mapping[str, Prepare]
    cases: Callable[[Namespace], Iterable[dict[str, Any]]] = lambda _: [{}]
    fresh: bool = False
    tables: bool = False


@dataclass
class Measured:
    """What is known of an implementation after some turns; ``base`` is whom it is compared with."""

    base: str
    shape: str = ""
    note: str = ""
    peak: float = 0.0
    seconds: list[float] = field(default_factory=list)


def take(words: Mapping[str, dict[str, Any]], rounds: int) -> dict[str, Measured]:
    """Let workers, started as ``words`` say, take turns."""
    base = next(iter(words))
    workers = {name: _Worker(each) for name, each in words.items()}
    try:
        measured = {name: Measured(base, worker.hear()["shape"]) for name, worker in workers.items()}
        for _ in range(rounds):
            for name, worker in workers.items():
                answer = worker.ask("turn")
                measured[name].seconds.append(answer["seconds"])
                measured[name].note = answer["note"]
        for name, worker in workers.items():
            measured[name].peak = worker.ask("end")["peak"]
    finally:
        for worker in workers.values():
            worker.stop()
    return measured


def take_fresh(words: Mapping[str, dict[str, Any]], rounds: int) -> dict[str, Measured]:
    """Let workers take turns, each a new process, which is timed from its start to its end too."""
    base, kinds = next(iter(words)), ("training only", "whole process")
    measured = {f"{name}, {kind}": Measured(f"{base}, {kind}") for kind in kinds for name in words}
    for _ in range(rounds):
        for name, each in words.items():
            started = time.perf_counter()
            worker = _Worker(each)
            try:
                shape, answer, end = worker.hear()["shape"], worker.ask("turn"), worker.ask("end")
            finally:
                worker.stop()
            seconds, peaks = (answer["seconds"], time.perf_counter() - started), (end["peak"], end["whole_peak"])
            for kind, second, peak in zip(kinds, seconds, peaks, strict=True):
                found = measured[f"{name}, {kind}"]
                found.shape, found.note, found.peak = shape, answer["note"], max(found.peak, peak)
                found.seconds.append(second)
    return measured


class _Worker:
    """A process that does ``work`` by the arguments ``words``."""

    def __init__(self, words: dict[str, Any]):
        program = str(Path(__file__).with_name("run.py"))
        command = [sys.executable, "-W", "ignore::FutureWarning", program, "--work"]  # RecBole has many to show
        lenskit = {"LK_NUM_THREADS": str(get_threads()), "LK_NUM_PROCS": "1", "LK_NUM_BACKEND_THREADS": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | lenskit
        )
        self._tell(json.dumps(words, default=str))

    def hear(self) -> dict[str, Any]:
        """Wait for the next word."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended with status {self._process.wait()}")
        return json.loads(line)

    def ask(self, what: str) -> dict[str, Any]:
        """Ask for a turn, or for the end."""
        self._tell(what)
        return self.hear()

    def _tell(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.communicate()


def work(ops: Mapping[str, Op]) -> None:
    """Be the implementation that the first line of stdin names: warm up, then take a turn whenever asked."""
    arguments = Namespace(**json.loads(sys.stdin.readline()))
    sys.argv[1:] = []  # RecBole reads them too
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print
    op = ops[arguments.op]
    prepare = op.implementations[arguments.worker]
    tiny, spectral = Path(arguments.tiny), Path(arguments.spectral)
    prepare(data.read(tiny, None, arguments.embedding_dim), arguments).turn()  # code is loaded, or compiled
    found = data.read(Path(arguments.data), spectral if spectral.exists() else None, arguments.embedding_dim)
    measure.reset_peak()
    before = measure.held()
    settings, turn = prepare(found, arguments)
    if not op.fresh:
        turn()
        measure.reset_peak()

    def say(**words: object) -> None:
        print(json.dumps(words), file=out, flush=True)

    say(shape=f"{found.shape} {settings}")
    for line in sys.stdin:
        if line.strip() == "end":
            say(peak=measure.peak() - before, whole_peak=measure.peak())
            break
        seconds, note = turn()
        say(seconds=seconds, note=note)
