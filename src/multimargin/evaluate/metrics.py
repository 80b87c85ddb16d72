r"""Ranking metrics as pure functions of who hit what: one row per user, binary relevance.

With :math:`R_u` the held-out items of user u, :math:`h_{ui} = 1` where place i of the list (from 1) is in :math:`R_u`,
and :math:`n_k = \sum_{i \le k} h_{ui}`:

.. math::
    \text{Recall@k} = \frac{n_k}{|R_u|} \qquad \text{Precision@k} = \frac{n_k}{k} \qquad \text{HitRate@k} = [n_k > 0]

    \text{NDCG@k} = \frac{\sum_{i \le k} h_{ui} / \log_2(i+1)}{\sum_{i \le \min(|R_u|, k)} 1 / \log_2(i+1)} \qquad
    \text{MRR@k} = \max_{i \le k} \frac{h_{ui}}{i} \qquad
    \text{MAP@k} = \frac{\sum_{i \le k} h_{ui}\, n_i / i}{\min(|R_u|, k)}

Other libraries mean other things by these names: LensKit divides Recall by min(\|R\|, k), RecTools' NDCG uses an ideal
list of k hits whatever \|R\|, RecBox sums MRR over all hits, implicit's precision divides by min(\|R\|, k).
"""

from collections.abc import Callable, Sequence

import numba
import numpy as np
from numpy.typing import NDArray

from multimargin import checks

Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]


def hits_of(
    index: NDArray[np.int32], relevant: Sequence[NDArray[np.integer]] | tuple[Counts, NDArray[np.int32]]
) -> Hits:
    """Return which places of each list hold a held-out item of its user.

    Args:
        index: (n, k) item indices, best first, -1 where a list is shorter.
        relevant: (indptr (n+1,), indices) of the same n users, or n arrays of item indices.

    Returns:
        (n, k) bool.
    """
    if isinstance(relevant, tuple):
        indptr, indices = relevant
    else:
        indptr = np.cumsum([0, *(len(items) for items in relevant)])
        indices = np.concatenate([np.asarray(items, dtype=np.int32) for items in relevant] or [np.empty(0, np.int32)])
    found = np.zeros(index.shape, dtype=np.bool_)
    _mark(index, indptr, indices, found)
    return found


def recall(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Return (n,) the share of the held-out items that are in the first ``k`` places."""
    return _n_hits(hits, k) / n_relevant


def precision(hits: Hits, n_relevant: Counts, k: int) -> Values:  # noqa: ARG001 - one signature for all
    """Return (n,) the share of ``k`` places that hold a held-out item; places left empty count as misses."""
    return _n_hits(hits, k) / k


def hit_rate(hits: Hits, n_relevant: Counts, k: int) -> Values:  # noqa: ARG001
    """Return (n,) 1 where any of the first ``k`` places holds a held-out item, else 0."""
    return (_n_hits(hits, k) > 0).astype(np.float64)


def ndcg(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Return (n,) discounted gain over that of the best list of ``k``, which has min(|R|, k) hits."""
    gains = 1 / np.log2(np.arange(2, k + 2))  # (k,)
    ideal = np.concatenate(([0.0], np.cumsum(gains)))[np.minimum(n_relevant, k)]
    shown = hits[:, :k]
    values: Values = (shown * gains[: shown.shape[1]]).sum(1) / ideal
    return values


def mrr(hits: Hits, n_relevant: Counts, k: int) -> Values:  # noqa: ARG001
    """Return (n,) one over the place of the first hit within ``k``, 0 where there is none."""
    shown = hits[:, :k]
    values: Values = (shown / np.arange(1, shown.shape[1] + 1)).max(1, initial=0.0)
    return values


def average_precision(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Return (n,) the sum of the precisions at each hit within ``k``, over min(|R|, k)."""
    shown = hits[:, :k]
    precisions = np.cumsum(shown, 1) / np.arange(1, shown.shape[1] + 1)
    values: Values = (shown * precisions).sum(1) / np.minimum(n_relevant, k)
    return values


METRICS: dict[str, Callable[[Hits, Counts, int], Values]] = {
    "Recall": recall,
    "NDCG": ndcg,
    "Precision": precision,
    "HitRate": hit_rate,
    "MRR": mrr,
    "MAP": average_precision,
}


def all_metrics(hits: Hits, n_relevant: Counts, k: Sequence[int]) -> dict[str, Values]:
    """Return every metric at every cut-off, per user.

    Args:
        hits: (n, at least max(k)) bool, from ``hits_of``; a narrower matrix counts as misses to its right.
        n_relevant: (n,) held-out items of each user, 1 or more.
        k: cut-offs.

    Returns:
        ``{"Recall@20": (n,) float64, ...}``, cut-off by cut-off.

    Example:
        >>> all_metrics(np.array([[True, False]]), np.array([2]), [1])["Recall@1"].tolist()
        [0.5]
    """
    if len(n_relevant) and n_relevant.min() < 1:
        checks.fail("n_relevant", "be 1 or more", int(n_relevant.min()), "Leave out users without held-out items.")
    return {f"{name}@{cut}": metric(hits, n_relevant, cut) for cut in k for name, metric in METRICS.items()}


def metric_name(name: str) -> str:
    """Return a metric's name as results spell it: ``ndcg@20`` is ``NDCG@20``.

    Raises:
        ArgumentError: there is no such metric, or it lacks its cut-off; the message names the nearest.
    """
    base, at, cut = name.strip().partition("@")
    by_lower = {known.lower(): known for known in METRICS}
    if base.lower() not in by_lower:
        checks.choice("metric", base, tuple(METRICS))
    if not at or not cut.isdecimal() or int(cut) < 1:
        checks.fail("metric", "end in its cut-off", name, f"Write {by_lower[base.lower()]}@20.")
    return f"{by_lower[base.lower()]}@{int(cut)}"


@numba.njit(nogil=True, cache=True)
def _mark(index, indptr, indices, found):  # type: ignore[no-untyped-def]
    for user in range(index.shape[0]):
        for place in range(index.shape[1]):
            for held_out in range(indptr[user], indptr[user + 1]):
                found[user, place] |= indices[held_out] == index[user, place]


def _n_hits(hits: Hits, k: int) -> Counts:
    counts: Counts = hits[:, :k].sum(1, dtype=np.int64)
    return counts
