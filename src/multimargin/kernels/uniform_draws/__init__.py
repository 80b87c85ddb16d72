r"""Uniform draws of items, with or without a user's seen ones, each fixed by its place in a stream.

**Contract.** Equals ``reference.uniform_draws(...)`` to the last bit, whatever the number of threads and however the
rows are cut into batches: with K the stream's key and O its offset, row b's n-th draw of N has number c = (O + b) N + n
and is

.. math:: r = \lfloor \mathrm{bits}(K, c) \, L / 2^{64} \rfloor, \qquad
          i = \text{the } r\text{-th of the } L \text{ items that } u_b \text{ has not seen}, \; r = 0, 1, \ldots

L = I less the items seen. With the seen items s_0 < s_1 < ... the numbers s_j - j count the unseen items before s_j and
never fall, so the r-th unseen item is r + #{j : s_j - j <= r}: one binary search, no rejection, no memory but the
result. Bias: at most L / 2**64 per item.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from multimargin import checks


def uniform_draws(
    users: NDArray[np.int64],
    n: int,
    *,
    key: int,
    offset: int,
    n_items: int,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    impl: Literal["auto", "cpu", "reference"] = "auto",
) -> NDArray[np.int64]:
    """Return (B, N) item indices.

    Args:
        users: (B,) user indices in [0, U); each must have an item left.
        n: N, draws per row, 1 or more.
        key: the stream's 64-bit key.
        offset: place of the first row in the stream, 0 or more.
        n_items: I, from 1 to 2**32 - 1.
        indptr: (U+1,) bounds of each user's seen items in ``indices``; (1,) zero: nobody's are left out.
        indices: seen items, increasing within a user.
        impl: "cpu" compiled, "reference" NumPy, "auto" compiled.
    """
    checks.choice("impl", impl, ("auto", "cpu", "reference"))
    checks.positive_int("n", n)
    checks.positive_int("n_items", n_items)
    if impl == "reference":
        from multimargin.kernels.uniform_draws import reference

        return reference.uniform_draws(users, n, key, offset, n_items, indptr, indices)
    from multimargin.kernels.uniform_draws import cpu

    return cpu.uniform_draws(users, n, key, offset, n_items, indptr, indices)
