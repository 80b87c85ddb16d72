"""A queue of runs in a folder: several at a time, each a process of its own; what is done is skipped, the rest resumes.

A run is an ordinary run folder, ``FOLDER/<job's name>``, that ``fit_recipe`` writes. A process of its own gives it
honest figures of memory and threads that nobody else uses. Processes end by themselves, after the epoch's stretch they
are in, when the one that started them is gone, however it went: each holds the end of a pipe that closes with it.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from multimargin import checks
from multimargin.errors import CheckpointError
from multimargin.experiments.progress import QueueProgress
from multimargin.kernels.threads import get_threads
from multimargin.recipes.recipe import Recipe
from multimargin.recipes.run import Run, memory_gib, peak_memory_mib

ANALYSIS = "analysis.json"
INTERRUPTED = 130  # exit code of a worker that was told to end

_LOG = logging.getLogger("multimargin")
_POLL_SECONDS = 0.1
_NO_MORE: Any = object()
_PATIENCE = 60.0  # seconds in which the processes of a start that was killed end
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Ended = Literal["done", "skipped", "stopped", "failed"]


@dataclass(frozen=True)
class Job:
    """One run to be done.

    Args:
        name: where below the queue's folder, for instance "mf-mml/seed-0"; unique in a queue.
        recipe: what to run, with its data.
        analyse: also write what the model does (``experiments/analysis.py``) into the run folder.
        test: measure the final numbers on the test data.
    """

    name: str
    recipe: Recipe
    analyse: bool = False
    test: bool = True


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        job: which one.
        run: its run folder.
        ended: "done" now, "skipped" because it was done before, "stopped" by ``watch``, or "failed".
        problem: what went wrong, in one line, where it failed.
    """

    job: Job
    run: Run
    ended: Ended
    problem: str | None = None


def run_all(
    jobs: Iterable[Job | None],
    folder: str | Path,
    *,
    at_once: int = 1,
    threads: int | None = None,
    watch: Callable[[Job, Mapping[str, Any]], bool] | None = None,
    after: Callable[[Outcome], None] | None = None,
    progress: bool = True,
) -> list[Outcome]:
    """Run every job whose run is not done yet.

    Args:
        jobs: taken one by one, whenever a process is free; so a generator may decide by what ``after`` was told, and
            give None while it waits for a run to end.
        folder: where the run folders lie; one call holds it at a time.
        at_once: processes at a time, 1 or more.
        threads: to share between them, at least one each; None: ``get_threads()``. No result depends on it.
        watch: called with each new row of a run's history, those of an earlier start included; where it returns false,
            the run ends after the stretch it is in. Its folder can be resumed.
        after: called when a job has ended.
        progress: show on stderr what runs and what is done.

    Returns:
        One outcome per job, in the order they ended. A job that fails does not stop the others.

    Raises:
        CheckpointError: another call holds the folder, or a job's run folder holds the run of another recipe.
        KeyboardInterrupt: after every process has ended; the same call goes on from there.
    """
    at_once = checks.positive_int("at_once", at_once)
    total = get_threads() if threads is None else checks.positive_int("threads", threads)
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    known = len(jobs) if isinstance(jobs, list | tuple) else None
    waiting, outcomes, workers = iter(jobs), list[Outcome](), list[_Worker]()
    exhausted = False
    with _held(folder) as handle, QueueProgress(known, shown=progress) as shown:

        def ended(outcome: Outcome) -> None:
            outcomes.append(outcome)
            shown.ended(outcome.job.name, outcome.ended, outcome.problem)
            if after is not None:
                after(outcome)

        try:
            while workers or not exhausted:
                while not exhausted and len(workers) < at_once:
                    job = next(waiting, _NO_MORE)
                    if job is _NO_MORE:
                        exhausted = True
                    elif job is None:
                        assert workers
                        break
                    elif is_done(job, folder):
                        ended(Outcome(job, Run(folder / job.name), "skipped"))
                    else:
                        shown.started(job.name, int(job.recipe.values["epochs"] or 1))
                        workers.append(_Worker.start(job, folder, max(1, total // at_once), handle))
                for worker in list(workers):
                    for row in worker.new_rows():
                        shown.epoch(worker.job.name, row)
                        if watch is not None and not watch(worker.job, row):
                            worker.stop()
                    if worker.process.poll() is not None:
                        workers.remove(worker)
                        ended(worker.outcome())
                if workers:
                    time.sleep(_POLL_SECONDS)
        finally:
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.process.wait()
    return outcomes


def is_done(job: Job, folder: str | Path) -> bool:
    """Tell whether a job's run is finished, as asked for.

    Raises:
        CheckpointError: its folder holds the run of another recipe.
    """
    run = Run(Path(folder) / job.name)
    if not run.exists():
        return False
    different = Recipe.load(run.recipe_file).differences(job.recipe)
    if different:
        raise CheckpointError(
            f"{run.path} must hold a run of the same recipe; its {different[0]} differs. Choose another folder."
        )
    if not (run.path / "info.json").exists() or run.info().get("ended") in ("running", "interrupted"):
        return False
    return not job.analyse or (run.path / ANALYSIS).exists()


def how_many(n_jobs: int, threads: int) -> int:
    """Return how many runs at a time: no more than threads, nor than fit into memory beside each other.

    To be asked once this process has read and split the data, of which a run needs more.
    """
    memory, peak = memory_gib(), peak_memory_mib()
    fitting = n_jobs if memory is None or not peak else int(memory * 2**10 / (2 * peak))
    return max(1, min(n_jobs, threads, fitting))


@dataclass
class _Worker:
    """A process at work on a job."""

    job: Job
    run: Run
    process: "subprocess.Popen[bytes]"
    log: Path
    stopped: bool = False
    _read: int = field(default=0)  # epochs whose rows were handed out

    @classmethod
    def start(cls, job: Job, folder: Path, threads: int, handle: int | None) -> "_Worker":
        run = Run(folder / job.name)
        run.path.parent.mkdir(parents=True, exist_ok=True)
        log = run.path.with_name(f"{run.path.name}.log")
        order = {
            "run": str(run.path),
            "name": job.recipe.name,
            "recipe": job.recipe.to_yaml(),
            "threads": threads,
            "analyse": job.analyse,
            "test": job.test,
        }
        environment = os.environ | dict.fromkeys(_POOLS, str(threads)) | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with log.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, our module
                [sys.executable, "-P", "-m", "multimargin.experiments.worker", json.dumps(order)],
                stdin=subprocess.PIPE,  # closes when this process is gone
                stdout=file,
                stderr=file,
                env=environment,
                start_new_session=True,  # Ctrl-C is ours to hand on
                pass_fds=() if handle is None else (handle,),  # the folder is held until the last of them has ended
            )
        return cls(job, run, process, log)

    def stop(self) -> None:
        """Have the process end where it can be resumed."""
        self.stopped = True
        if self.process.stdin is not None:
            self.process.stdin.close()

    def new_rows(self) -> Iterator[dict[str, Any]]:
        """Return the rows of the history that were not returned before."""
        try:
            text = (self.run.path / "metrics.jsonl").read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        for line in text.splitlines(keepends=True):
            if line.endswith("\n") and (row := json.loads(line))["epoch"] > self._read:
                self._read = row["epoch"]
                yield row

    def outcome(self) -> Outcome:
        """Return how it ended."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        code = self.process.returncode
        if code == 0:
            if not self.log.read_bytes().strip():
                self.log.unlink()
            return Outcome(self.job, self.run, "done")
        if code == INTERRUPTED and self.stopped:
            return Outcome(self.job, self.run, "stopped")
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        said = lines[-1].removeprefix("error: ") if lines else f"its process ended with {code}"
        return Outcome(self.job, self.run, "failed", said if code == 2 else f"{said} (see {self.log})")


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[int | None]:
    """Hold a folder for this process and those it starts, waiting for those of a start that was killed."""
    try:
        import fcntl
    except ImportError:  # Windows: no lock on folders there
        yield None
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        started, said = time.monotonic(), False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() - started > _PATIENCE:
                    raise CheckpointError(
                        f"{folder} must not be in use; other processes run in it. Wait for them, or choose another."
                    ) from None
                if not said:
                    _LOG.info("other processes run in %s; waiting for a minute", folder)
                    said = True
                time.sleep(_POLL_SECONDS)
        yield handle
    finally:
        os.close(handle)
