r"""Each item's most similar items, by how often two were touched by the same user.

**Contract.** Equals ``reference.item_neighbours(...)``: with c the users that touched both, n_i and n_j those that
touched either, U users in all, h the shrinkage,

.. math:: \text{cosine} = \frac{c}{\sqrt{n_i n_j} + h}, \quad \text{jaccard} = \frac{c}{n_i + n_j - c + h}, \quad
          \text{pearson} = \frac{U c - n_i n_j}{\sqrt{n_i (U - n_i)\, n_j (U - n_j)} + h}

in float64, rounded to float32; the k largest above 0 of each row, ties by lower index, an item never its own neighbour.
Items that share no user are no neighbours, so one item at a time is counted among its users' other items; no items x
items matrix exists. Items are shared out among threads, and no sum crosses them.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.kernels.filtered_scores import Graph

MEASURES = ("cosine", "jaccard", "pearson")


def item_neighbours(
    graph: Graph,
    k: int,
    *,
    measure: str,
    shrinkage: float = 0.0,
    impl: Literal["auto", "cpu", "reference"] = "auto",
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return indices (I, k), padded with -1, and similarities (I, k), padded with 0, largest first.

    Args:
        graph: the interactions.
        k: neighbours of each item, 1 or more.
        measure: "cosine", "jaccard" or "pearson".
        shrinkage: h, 0 or more: the larger, the less a similarity that few users speak for counts.
        impl: "cpu" compiled, "reference" NumPy, "auto" compiled.
    """
    checks.choice("impl", impl, ("auto", "cpu", "reference"))
    checks.choice("measure", measure, MEASURES)
    if impl == "reference":
        from multimargin.kernels.item_neighbours import reference

        return reference.item_neighbours(graph, k, measure, shrinkage)
    from multimargin.kernels.item_neighbours import cpu

    return cpu.item_neighbours(graph, k, measure, shrinkage)
