"""What a person sees while a queue of runs is worked on: bars on a terminal, a line per run elsewhere; on stderr."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any


class QueueProgress:
    """Shows what is done, and the epochs of what runs.

    Args:
        total: how many runs there will be; None: nobody knows.
        shown: false to show nothing.
    """

    def __init__(self, total: int | None, *, shown: bool):
        self._total, self._shown, self._n_ended = total, shown, 0
        self._started_at: dict[str, float] = {}
        self._tasks: dict[str, Any] = {}
        self._bar: Any = None
        if shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
            self._bar = Progress(*columns, TextColumn("{task.fields[numbers]}"), console=Console(stderr=True))
            self._all = self._bar.add_task("runs", total=total, numbers=f"0 of {total}" if total else "")

    def __enter__(self) -> "QueueProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def started(self, name: str, epochs: int) -> None:
        """A run begins, of ``epochs`` epochs at most."""
        self._started_at[name] = time.perf_counter()
        if self._bar:
            self._tasks[name] = self._bar.add_task(f"  {name}", total=epochs, numbers="")

    def epoch(self, name: str, row: Mapping[str, Any]) -> None:
        """A run has finished an epoch; ``row`` is its line of the history."""
        if name in self._tasks:
            loss = f"loss {row['loss']:.4f}" if "loss" in row else ""
            self._bar.update(self._tasks[name], completed=row["epoch"], numbers=f"epoch {row['epoch']}  {loss}")

    def ended(self, name: str, how: str, problem: str | None) -> None:
        """A run has ended."""
        self._n_ended += 1
        so_far = f"{self._n_ended} of {self._total}" if self._total else str(self._n_ended)
        spent = time.perf_counter() - self._started_at.pop(name, time.perf_counter())
        took = "done before" if how == "skipped" else f"{how} after {spent:.0f} s"
        line = f"{so_far}: {name}, {took}" + (f": {problem}" if problem else "")
        if self._bar:
            if name in self._tasks:
                self._bar.remove_task(self._tasks.pop(name))
            self._bar.update(self._all, completed=self._n_ended, numbers=so_far)
            if problem:
                self._bar.console.print(line, markup=False, highlight=False)
        elif self._shown:
            print(line, file=sys.stderr)  # noqa: T201
