"""How many threads compiled code may use; no result depends on it."""

import os

from multimargin import checks

_VARIABLE = "MULTIMARGIN_THREADS"
_threads: int | None = None


def get_threads() -> int:
    """Return the number of threads: the last ``set_threads``, else ``MULTIMARGIN_THREADS``, else the usable cores.

    Raises:
        ArgumentError: ``MULTIMARGIN_THREADS`` is set, but not to a whole number of 1 or more.
    """
    if _threads is not None:
        return _threads
    wanted = os.environ.get(_VARIABLE, "").strip()
    if not wanted:
        return usable_cores()
    if not wanted.isdecimal() or int(wanted) < 1:
        checks.fail(_VARIABLE, "be a whole number of 1 or more", wanted, "Set it so, or unset it to use every core.")
    return int(wanted)


def set_threads(n: int) -> None:
    """Use ``n`` threads, 1 or more, from now on in this process."""
    global _threads
    _threads = checks.positive_int("threads", n)


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
