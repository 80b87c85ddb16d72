r"""Draws of items by weight, with or without a user's seen ones, each fixed by its place in a stream.

**Contract.** Equals ``reference.weighted_draws(...)`` to the last bit, whatever the number of threads and however the
rows are cut into batches. Weights are whole numbers w_i, so that nothing is rounded: with K the stream's key and O its
offset, row b's n-th draw of N has number c = (O + b) N + n and is

.. math:: r = \lfloor \mathrm{bits}(K, c) \, L_u / 2^{64} \rfloor, \qquad
          i = \text{the unseen item with } \sum_{j < i,\, j \notin S_u} w_j \le r < \sum_{j \le i,\, j \notin S_u} w_j

L_u is the weight of what user u has not seen. Of each seen item s the unseen weight before it, p_s, is kept; it never
falls within a user, so the weight to skip is that of the #{s : p_s <= r} first, one binary search; then the item is
looked up among the cumulative weights from where a guide table says (Chen, Asau 1974), about one step on average. No
rejection. Bias: at most L_u / 2**64 per item. Memory: 8 bytes per item twice and, with seen items, per interaction.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from multimargin import checks

_TOTAL = 2.0**52  # what weights add up to, about: each is then off by less than 1e-15 of all


@dataclass(frozen=True, eq=False)
class WeightedItems:
    """Weights and, for each user, what is left out, made ready to draw from.

    Args:
        bounds: (I+1,) int64 cumulative weights from 0.
        guide: int64; entry g is the item that holds weight ``g << shift``.
        shift: of the guide.
        indptr: (U+1,) bounds of each user's seen items; (1,) zero: nobody's are left out.
        indices: seen items, increasing within a user.
        before: (n,) int64 weight of the unseen items before each seen one.
        left: (U,) int64 weight of what each user has not seen; (1,) all of it where nobody's are left out.
    """

    bounds: NDArray[np.int64]
    guide: NDArray[np.int64]
    shift: int
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    before: NDArray[np.int64]
    left: NDArray[np.int64]

    @property
    def weights(self) -> NDArray[np.int64]:
        """(I,) the whole weights."""
        return np.diff(self.bounds)


def weighted_items(
    weights: NDArray[np.float64], indptr: NDArray[np.int64], indices: NDArray[np.int32]
) -> WeightedItems:
    """Round ``weights`` (I,), 0 or more and not all 0, to whole numbers (none above 0 to 0) and make them ready."""
    whole = np.ceil(weights * (_TOTAL / weights.sum())).astype(np.int64)
    bounds = np.concatenate(([0], np.cumsum(whole)))
    total = int(bounds[-1])
    shift = max(total.bit_length() - len(weights).bit_length() - 1, 0)  # 1 to 4 entries per item
    guide = np.searchsorted(bounds, np.arange((total >> shift) + 1) << shift, side="right") - 1
    if len(indptr) == 1:
        return WeightedItems(bounds, guide, shift, indptr, indices, np.empty(0, np.int64), np.array([total]))
    seen = np.concatenate(([0], np.cumsum(whole[indices])))  # of all users, one after the other
    within = seen[:-1] - np.repeat(seen[indptr[:-1]], np.diff(indptr))  # of the user's own, before each
    return WeightedItems(
        bounds, guide, shift, indptr, indices, bounds[indices] - within, total - (seen[indptr[1:]] - seen[indptr[:-1]])
    )


def weighted_draws(
    users: NDArray[np.int64],
    n: int,
    *,
    key: int,
    offset: int,
    items: WeightedItems,
    impl: Literal["auto", "cpu", "reference"] = "auto",
) -> NDArray[np.int64]:
    """Return (B, N) item indices.

    Args:
        users: (B,) user indices in [0, U); each must have weight left.
        n: N, draws per row, 1 or more.
        key: the stream's 64-bit key.
        offset: place of the first row in the stream, 0 or more.
        items: what is drawn from.
        impl: "cpu" compiled, "reference" NumPy, "auto" compiled.
    """
    checks.choice("impl", impl, ("auto", "cpu", "reference"))
    checks.positive_int("n", n)
    if impl == "reference":
        from multimargin.kernels.weighted_draws import reference

        return reference.weighted_draws(users, n, key, offset, items)
    from multimargin.kernels.weighted_draws import cpu

    return cpu.weighted_draws(users, n, key, offset, items)
