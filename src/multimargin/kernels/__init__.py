"""Compiled operations: one folder per op, each equal to its ``reference`` without allocating (B, N, D)."""
