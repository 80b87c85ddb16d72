"""Several threads that run one compiled function together and meet at barriers inside it.

A kernel for a team takes ``(thread, threads, cells, ...)``, does its share, and calls ``meet`` where everybody must be
done before anybody goes on. It allocates nothing: results are arrays that it is given. numba's own parallel loops
compile many times slower, meet only at the ends of loops, and their waiting threads starve PyTorch's.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

from multimargin.kernels.intrinsics import give_way, read_cell, write_cell
from multimargin.kernels.rows import FAST
from multimargin.kernels.threads import get_threads

# How a kernel is compiled. It lets go of Python's lock and counts no references. For the same bits in every run:
# helpers are inlined by numba, so that code compiled now and code loaded from disk are alike, and a sum stands in a
# loop that writes nothing, or it would be summed one way or another by where its arrays happen to lie.
TOGETHER: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": FAST, "_nrt": False}

# How a stride of a kernel is compiled: on its own, since inlining everything into one function takes hundreds of MiB.
STRIDE = {name: value for name, value in TOGETHER.items() if name != "cache"}  # it is stored with its kernel

_SPINS = 2000  # looks at the others before the core is offered to somebody else
_LINE = 16  # int64 of two cache lines: threads do not write into each other's
_GONE = np.iinfo(np.int64).max  # the cell of a thread that failed: nobody waits for it
_SMALL = 1_000_000  # multiplications that one thread has done before another has woken up

_one_at_a_time = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


@numba.njit(inline="always")
def meet(cells, thread, threads):
    """Wait until every thread of the team has come here."""
    if threads > 1:
        count = read_cell(cells, thread * _LINE) + 1
        write_cell(cells, thread * _LINE, count)
        for other in range(threads):
            spins = 0
            while read_cell(cells, other * _LINE) < count:
                spins += 1
                if spins > _SPINS:
                    give_way()


@numba.njit(inline="always")
def share(thread, threads, n):
    """Return where this thread's part of ``range(n)`` starts and stops."""
    return thread * n // threads, (thread + 1) * n // threads


def threads_for(work: int) -> int:
    """Return how many threads pay off for ``work`` multiplications."""
    return 1 if work < _SMALL else get_threads()


def run_together(threads: int, kernel: Callable[..., Any], *arguments: Any) -> Any:
    """Call ``kernel(thread, threads, cells, *arguments)`` on ``threads`` threads; return what the first returned.

    An exception (Ctrl-C among them) leaves only after every thread has come back.
    """
    cells = np.zeros(threads * _LINE, np.int64)
    if threads == 1:
        return kernel(0, 1, cells, *arguments)

    def part(thread: int) -> Any:
        try:
            return kernel(thread, threads, cells, *arguments)
        except BaseException:
            cells[thread * _LINE] = _GONE
            raise

    with _one_at_a_time:  # the threads of two teams would wait for each other
        if threads not in _pools:
            _pools[threads] = ThreadPoolExecutor(threads - 1, "multimargin")
        futures = [_pools[threads].submit(part, thread) for thread in range(1, threads)]
        try:
            result = part(0)  # the caller is one of the team: it need not be woken up
            for future in futures:
                future.result()
        finally:
            cells[0] = _GONE  # where an interruption came before it could start
            for future in futures:
                future.exception()
    return result
