"""What a person sees while training: a bar on a terminal, a line per epoch elsewhere; always on stderr."""

import sys
import time
from types import TracebackType
from typing import Any


class Progress:
    """Shows epoch, loss, metric, best so far and time left.

    Args:
        epochs: how many there will be at most.
        done: epochs finished before (a resumed run).
        per_epoch: interactions in an epoch.
        metric: the metric to show.
        shown: false to show nothing.
    """

    def __init__(self, *, epochs: int, done: int, per_epoch: int, metric: str, shown: bool):
        self._epochs, self._done, self._per_epoch, self._metric = epochs, done, per_epoch, metric
        self._lines = shown and not sys.stderr.isatty()
        self._bar: Any = None
        self._started = time.perf_counter()
        if shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[numbers]}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(
                self._title(done), total=epochs * per_epoch, completed=done * per_epoch, numbers=""
            )

    def __enter__(self) -> "Progress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, interactions: int) -> None:
        """So many interactions more are done."""
        if self._bar:
            self._bar.advance(self._task, interactions)

    def epoch(self, row: dict[str, Any], best: float | None) -> None:
        """An epoch is finished; ``row`` is its line of the history."""
        numbers = f"loss {row['loss']:.4f}"
        if self._metric in row:
            numbers += f"  {self._metric} {row[self._metric]:.4f}" + (f" (best {best:.4f})" if best is not None else "")
        if self._bar:
            self._bar.update(self._task, description=self._title(row["epoch"]), numbers=numbers)
        if self._lines:
            spent = time.perf_counter() - self._started
            left = spent / (row["epoch"] - self._done) * (self._epochs - row["epoch"])
            print(f"{self._title(row['epoch'])}  {numbers}  {spent:.0f} s, {left:.0f} s left", file=sys.stderr)  # noqa: T201

    def _title(self, epoch: int) -> str:
        return f"epoch {epoch}/{self._epochs}"
