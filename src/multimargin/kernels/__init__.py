"""Compiled operations: one folder per op, each equal to its ``reference`` without allocating (B, N, D)."""

import os

# A waiting thread of a pool spins by default, for milliseconds, and starves whoever else needs the core (PyTorch's own
# pool, another process). A short spin costs nothing measurable on a free machine. Read when numba starts its pool.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
