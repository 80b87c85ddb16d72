"""Optimisers: rows touched only, the result of the dense one."""

from multimargin.optim.lazy_adam import LazyAdam

__all__ = ["LazyAdam"]
