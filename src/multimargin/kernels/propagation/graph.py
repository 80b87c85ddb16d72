"""A bipartite graph of users and items, laid out for being walked through."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multimargin.kernels.propagation.order import visiting_order

_ROW = 8  # what a row costs besides its neighbours, in neighbours


@dataclass(frozen=True, eq=False)
class Side:
    """The rows of users, or of items, and their neighbours on the other side.

    Args:
        order: (rows,) int64, the rows in the order in which they are visited; it changes no result.
        first: (rows,) int64, where the neighbours of each row begin in ``neighbours``.
        degree: (rows,) int64, how many there are.
        neighbours: (n,) int32, a row's increasing, rows as visited.
        scale: (rows,) float32, 1 / sqrt(degree); 0 without neighbours.
    """

    order: NDArray[np.int64]
    first: NDArray[np.int64]
    degree: NDArray[np.int64]
    neighbours: NDArray[np.int32]
    scale: NDArray[np.float32]

    @staticmethod
    def of(indptr: NDArray[np.int64], indices: NDArray[np.int32], order: NDArray[np.int64]) -> "Side":
        """Lay compressed rows out in ``order``."""
        degree = np.diff(indptr)
        lengths = degree[order]
        ends = np.cumsum(lengths)
        first = np.empty_like(degree)
        first[order] = ends - lengths
        places = np.repeat(indptr[order] - (ends - lengths), lengths) + np.arange(len(indices))
        with np.errstate(divide="ignore"):
            scale = np.where(degree > 0, 1 / np.sqrt(degree), 0).astype(np.float32)
        return Side(order, first, degree, indices[places], scale)

    def cuts(self, rows: NDArray[np.int64], threads: int) -> NDArray[np.int64]:
        """Return (threads + 1,) places between which each thread has as much to do, for ``rows`` in this order."""
        work = np.cumsum(self.degree[rows] + _ROW)
        total = work[-1] if len(work) else 0
        inner = np.searchsorted(work, total * np.arange(1, threads) / threads)
        return np.concatenate(([0], inner, [len(rows)])).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Graph:
    """Both sides of a graph, and what is made of them when it is first asked for."""

    users: Side
    items: Side
    _made: dict[object, object] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(indptr: NDArray[np.int64], indices: NDArray[np.int32], n_items: int) -> "Graph":
        """Return the graph of compressed rows: the items of each user, increasing.

        Args:
            indptr: (U + 1,) where each user's items begin.
            indices: (n,) the items.
            n_items: I.
        """
        user_of = np.repeat(np.arange(len(indptr) - 1, dtype=np.int32), np.diff(indptr))
        by_item = np.argsort(indices, kind="stable")
        starts = np.concatenate(([0], np.cumsum(np.bincount(indices, minlength=n_items)))).astype(np.int64)
        user_order, item_order = visiting_order(indptr, indices, n_items)
        own = indices.astype(np.int32, copy=False)
        return Graph(Side.of(indptr.astype(np.int64), own, user_order), Side.of(starts, user_of[by_item], item_order))

    def side_cuts(self, side: Side, threads: int, *, ordered: bool) -> NDArray[np.int64]:
        """Return ``side.cuts`` of all rows, as visited or as numbered; made once."""
        key = id(side), threads, ordered
        if key not in self._made:
            self._made[key] = side.cuts(side.order if ordered else np.arange(len(side.order)), threads)
        found = self._made[key]
        assert isinstance(found, np.ndarray)
        return found

    def matrix(self, like: Tensor) -> Tensor:
        """Return the users' half of A, (U, I), sparse, on the device and in the dtype of ``like``; made once."""
        key = like.device, like.dtype
        if key not in self._made:
            side = self.users
            rows = np.repeat(side.order, side.degree[side.order])
            degrees = self.users.degree[rows] * self.items.degree[side.neighbours].astype(np.float64)
            index = torch.from_numpy(np.stack((rows, side.neighbours.astype(np.int64))))
            values = torch.from_numpy(1 / np.sqrt(degrees)).to(like.dtype)
            shape = len(self.users.order), len(self.items.order)
            made = torch.sparse_coo_tensor(index, values, shape, check_invariants=False).coalesce()
            self._made[key] = made.to(like.device)
        found = self._made[key]
        assert isinstance(found, Tensor)
        return found
