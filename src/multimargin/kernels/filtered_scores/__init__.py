r"""Scores of items as a filter of what a user has touched: a polynomial of the graph, and a part of low rank.

**Contract.** Equals ``reference.filtered_scores(...)`` to rounding, without an items x items matrix:

.. math:: s = d_\text{out} \odot \sum_{k=0}^{K} c_k\, T_k(I - 2A)\,(d_\text{in} \odot x) \;+\; R\,(L^\top x), \qquad
          A = D_i^{-1/2} X^\top D_u^{-1} X D_i^{-1/2}

with x the user's history as 0 and 1, X the (U, I) interactions that the filter was made of, D_u and D_i their counts,
T_k the Chebyshev polynomials (T_0 = 1, T_1(z) = z, T_{k+1} = 2 z T_k - T_{k-1}), L and R (I, r). Eigenvalues of A lie
in [0, 1], of I - 2A in [-1, 1]. An item without interactions has score 0 from the polynomial.

In the coordinates t = D_i^{-1/2} (...) both products are sums of rows without a factor, 32 users side by side in
registers: 2 (K n + I r / 2) x 32 additions for n interactions. Memory: (3 I + U) x 32 float32 for each thread. Every
sum is in float32 and in an order that no block and no thread changes, so a user's scores do not depend on who else is
in the block.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from multimargin import checks


@dataclass(frozen=True, eq=False)
class Graph:
    """Interactions in both directions.

    Args:
        user_starts: (U+1,) int64 bounds of each user's items.
        items: (n,) int32.
        item_starts: (I+1,) int64 bounds of each item's users.
        users: (n,) int32.
    """

    user_starts: NDArray[np.int64]
    items: NDArray[np.int32]
    item_starts: NDArray[np.int64]
    users: NDArray[np.int32]

    @classmethod
    def of(cls, indptr: NDArray[np.int64], indices: NDArray[np.int32], n_items: int) -> "Graph":
        """Return the graph of compressed rows of items."""
        order = np.argsort(indices, kind="stable")
        users = np.repeat(np.arange(len(indptr) - 1, dtype=np.int32), np.diff(indptr))[order]
        starts = np.concatenate(([0], np.cumsum(np.bincount(indices, minlength=n_items))))
        return cls(indptr, indices, starts.astype(np.int64), users)


@dataclass(frozen=True, eq=False)
class Filter:
    """What a filter multiplies with.

    Args:
        coefficients: (K+1,) float32, c.
        before: (I,) float32, d_in.
        after: (I,) float32, d_out.
        left: (I, r) float32, L; r may be 0.
        right: (I, r) float32, R.
    """

    coefficients: NDArray[np.float32]
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    left: NDArray[np.float32]
    right: NDArray[np.float32]


def filtered_scores(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    graph: Graph,
    factors: Filter,
    *,
    impl: Literal["auto", "cpu", "reference"] = "auto",
) -> NDArray[np.float32]:
    """Return (b, I) scores.

    Args:
        indptr: (b+1,) bounds of each history in ``indices``.
        indices: item indices in [0, I).
        graph: X.
        factors: what is applied.
        impl: "cpu" compiled, "reference" NumPy, "auto" compiled.
    """
    checks.choice("impl", impl, ("auto", "cpu", "reference"))
    if impl == "reference":
        from multimargin.kernels.filtered_scores import reference

        return reference.filtered_scores(indptr, indices, graph, factors)
    from multimargin.kernels.filtered_scores import cpu

    return cpu.filtered_scores(indptr, indices, graph, factors)
