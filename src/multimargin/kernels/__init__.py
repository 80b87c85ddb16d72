"""Compiled operations: one folder per op, each equal to its ``reference`` without allocating (B, N, D)."""

import os

# A waiting thread of a pool spins by default, for milliseconds, and starves whoever else needs the core (PyTorch's own
# pool, another process). A shorter spin still outlasts the gaps inside a step. Read when numba starts its pool.
os.environ.setdefault("GOMP_SPINCOUNT", "100000")
