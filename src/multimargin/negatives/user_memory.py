"""A few items remembered of each user, of which and of fresh draws as many stay as there is room for."""

import numpy as np
from numpy.typing import NDArray

from multimargin.negatives.candidates import uniforms
from multimargin.rng import CounterRng


class UserMemory:
    """``items`` (U, size) int32; -1 is a place that is free, as all are at first."""

    def __init__(self, n_users: int, size: int):
        self.items = np.full((n_users, size), -1, dtype=np.int32)

    def with_fresh(
        self, users: NDArray[np.int64], fresh: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return (B, size + C) items, what is remembered and ``fresh`` ((B, C) or (C,)), and which places are free."""
        rows = np.broadcast_to(fresh, (len(users), fresh.shape[-1]))
        pool = np.concatenate([self.items[users], rows], axis=1, dtype=np.int64)
        return np.maximum(pool, 0), pool < 0

    def refresh(
        self, users: NDArray[np.int64], pool: NDArray[np.int64], logits: NDArray[np.float32], rng: CounterRng
    ) -> None:
        """Remember of each user's ``pool`` (B, C) as many as there is room for, drawn without replacement.

        In proportion to the exponentials of ``logits``: the first to arrive if each arrives at that rate (Efraimidis
        and Spirakis 2006). A user who has several rows is refreshed from the first.
        """
        people, rows = np.unique(users, return_index=True)
        waits = -np.log1p(-uniforms(len(users), pool.shape[1], rng)[rows])
        order = np.argsort(np.log(np.maximum(waits, 1e-300)) - logits[rows], axis=1)[:, : self.items.shape[1]]
        self.items[people] = np.take_along_axis(pool[rows], order, axis=1)
