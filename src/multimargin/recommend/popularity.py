"""How much an item's popularity counts in its scores: one number, which a cosine cannot learn by itself."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.encoders.base import Similarity
from multimargin.recommend.top_k import normalised

EXPONENTS = (0.0, 0.0025, 0.005, 0.0075, 0.01, 0.0125, 0.015, 0.02, 0.025, 0.03, 0.04, 0.06)
"""What ``choose_popularity`` tries; the lists of a cosine model turn into lists of hits well before the last."""

Tables = tuple[NDArray[np.float32], NDArray[np.float32], Similarity]


def with_popularity(tables: Tables, item_counts: NDArray[np.integer[Any]], exponent: float) -> Tables:
    r"""Return tables whose scores are cosines times a small power of the items' popularity.

    .. math:: s_{ui} = \cos(u, i)\,(1 + n_i)^{\alpha}

    A cosine has no place for how popular an item is; a bias, or the length of a vector, has. Trained on cosines with
    uniform negatives, popular items end below where their users would have them. A user's best items differ by some
    hundredths, so that a small exponent suffices: at 0.01 an item with 400 users gains 6 % on one with none.

    Args:
        tables: user table (U, D), item table (I, D) and "cosine".
        item_counts: (I,) n_i, training interactions of each item.
        exponent: alpha, 0 or more; 0 changes nothing.

    Returns:
        Tables of unit user vectors and of item vectors of length (1 + n_i)**alpha, and "dot".

    Raises:
        ArgumentError: a negative exponent; or dot products, whose lengths have learnt it.
    """
    checks.not_negative("popularity", exponent)
    if exponent == 0:
        return tables
    user_table, item_table, similarity = tables
    if similarity != "cosine":
        checks.fail("popularity", "be 0 where scores are dot products, whose lengths say it", exponent)
    factor = (1.0 + item_counts.astype(np.float64)) ** exponent  # (I,)
    return normalised(user_table), normalised(item_table) * factor[:, None].astype(np.float32), "dot"


def choose_popularity(measure: Callable[[float], float], exponents: Iterable[float] = EXPONENTS) -> tuple[float, float]:
    """Return the exponent at which ``measure`` is highest, and its value; of equals the smallest exponent.

    Args:
        measure: returns the metric, on data that may be selected on, at an exponent.
        exponents: what is tried.
    """
    found = [(float(measure(each)), -each) for each in exponents]
    best, exponent = max(found)
    return -exponent, best
