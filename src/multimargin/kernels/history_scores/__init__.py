r"""Scores of items from what a user has touched: sums of rows of a matrix between items.

**Contract.** Equals ``reference.history_scores(...)`` to the last bit, whatever the block of users:

.. math:: s_j = \mathrm{float32}\Bigl( \sum_{i \in H} W_{ij} + b_j \Bigr)

with H a row of histories, the sum over i in the order of the row, in float64, the bias last. W is sparse, in compressed
rows, or dense. One user at a time: a row of float64 sums stays in the cache while the rows of their items are added to
it. No thread of its own; blocks of users are for the caller to share out.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from multimargin import checks

Weights = Any  # scipy.sparse.csr_array or NDArray[np.float32], (I, J)


def history_scores(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: Weights,
    bias: NDArray[np.float32],
    *,
    impl: Literal["auto", "cpu", "reference"] = "auto",
) -> NDArray[np.float32]:
    """Return (b, J) scores.

    Args:
        indptr: (b+1,) bounds of each history in ``indices``.
        indices: item indices in [0, I).
        weights: W, (I, J) float32: a scipy CSR array or a matrix.
        bias: (J,) float32.
        impl: "cpu" compiled, "reference" NumPy, "auto" compiled.
    """
    checks.choice("impl", impl, ("auto", "cpu", "reference"))
    if impl == "reference":
        from multimargin.kernels.history_scores import reference

        return reference.history_scores(indptr, indices, weights, bias)
    from multimargin.kernels.history_scores import cpu

    return cpu.history_scores(indptr, indices, weights, bias)
