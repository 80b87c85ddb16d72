"""A vector for a user who was not in training, from the items they touched."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.encoders.base import Similarity
from multimargin.recommend.top_k import normalised


def fold_in(
    items: NDArray[np.integer[Any]], item_table: NDArray[np.float32], *, similarity: Similarity
) -> NDArray[np.float32]:
    r"""Return the mean of the (for the cosine: normalised) vectors of a user's items.

    .. math:: u = \frac1n \sum_{i} \frac{v_i}{\|v_i\|}

    For the cosine this is the exact minimiser of the margin losses' positive term, the sum of 1 - cos(u, v_i), with
    item vectors fixed and no negative active: no other direction is nearer to the items on the whole.

    Args:
        items: (n,) item indices, one or more; a repeated item counts that often.
        item_table: (I, D) item vectors.
        similarity: "cosine" or "dot".

    Returns:
        (D,) float32.

    Raises:
        ArgumentError: ``items`` is empty.
    """
    if len(items) == 0:
        checks.fail("history", "hold at least one item", [], "Recommend popular items to a user without any.")
    vectors = item_table[items]  # (n, D)
    if similarity == "cosine":
        vectors = normalised(vectors)
    mean: NDArray[np.float32] = vectors.mean(0, dtype=np.float64).astype(np.float32)  # (D,)
    return mean
