"""Arrays that threads fill: where they take memory, and how they are kept apart."""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LINE = 128  # bytes that two threads must not share: a cache line and the one that is fetched beside it


def lazily(shape: tuple[int, ...], kind: type) -> NDArray[Any]:
    """Return zeros that take memory page by page, where they are used; NumPy's own may take 2 MiB at a time."""
    found: NDArray[Any] = np.frombuffer(mmap.mmap(-1, int(np.prod(shape)) * np.dtype(kind).itemsize), kind)
    return found.reshape(shape)


def apart(shape: tuple[int, ...], kind: type, value: int = 0, unit: int = _LINE) -> NDArray[Any]:
    """Return an array of ``value`` whose last axis fills whole units of bytes, so that no two threads share one."""
    entries = unit // np.dtype(kind).itemsize
    shape = (*shape[:-1], -(-shape[-1] // entries) * entries)
    flat: NDArray[Any] = np.full(int(np.prod(shape)) + entries, value, kind)
    start = -flat.ctypes.data % unit // flat.itemsize
    return flat[start : start + flat.size - entries].reshape(shape)
