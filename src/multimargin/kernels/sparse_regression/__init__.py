r"""Each item as a sparse, non-negative sum of other items: coordinate descent on what few of them share.

**Contract.** Equals ``reference.sparse_regression(...)`` to ``tolerance``; for each item j it is the solution of

.. math:: \min_{w \ge 0,\, w_j = 0} \tfrac12 \|x_j - X w\|^2 + \lambda_1 \sum_i w_i + \tfrac{\lambda_2}{2} \|w\|^2

with x_j a column of the (U, I) 0/1 matrix X. **Derivation.** With r = x_j - X w the minimum along coordinate i is at
w_i = max(0, (x_i·r + n_i w_i - λ1) / (n_i + λ2)). An item that shares no user with j has x_i·x_j = 0, so its w_i is 0
for ever: only companions of j take part, some hundreds of them. A coordinate costs a visit to its users, twice if it
moves; a sweep in which no weight moves by more than ``tolerance`` times the largest is the last. Of each column the k
largest weights are kept, ties by lower index. Items are shared out among threads, and no sum crosses them. Memory: a
residual (U,) and weights (I,) for each thread.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.kernels.filtered_scores import Graph


def sparse_regression(
    graph: Graph,
    k: int,
    *,
    l1: float,
    l2: float,
    sweeps: int = 100,
    tolerance: float = 1e-4,
    impl: Literal["auto", "cpu", "reference"] = "auto",
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return indices (I, k), padded with -1, and weights (I, k), padded with 0: row j holds w, largest first.

    Args:
        graph: the interactions X.
        k: weights kept of each w, 1 or more.
        l1: λ1, 0 or more.
        l2: λ2, above 0.
        sweeps: how often each coordinate is visited at most.
        tolerance: a sweep in which no weight moves by more than this, relative to the largest, is the last.
        impl: "cpu" compiled, "reference" NumPy, "auto" compiled.
    """
    checks.choice("impl", impl, ("auto", "cpu", "reference"))
    if impl == "reference":
        from multimargin.kernels.sparse_regression import reference

        return reference.sparse_regression(graph, k, l1, l2, sweeps, tolerance)
    from multimargin.kernels.sparse_regression import cpu

    return cpu.sparse_regression(graph, k, l1, l2, sweeps, tolerance)
