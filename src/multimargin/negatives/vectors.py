"""Item vectors that come from elsewhere, and clusters of them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin import checks

_ROUNDS = 10


def read_vectors(given: Any, n_items: int) -> NDArray[np.float32]:
    """Return (I, any) float32 vectors of length 1 from an array or the path of a ``.npy`` file; 0 stays 0."""
    values = np.load(given, allow_pickle=False) if isinstance(given, (str, Path)) else np.asarray(given)
    if values.ndim != 2 or len(values) != n_items:
        checks.fail("item_vectors", f"be one row for each of {n_items} items", values.shape)
    if not np.isfinite(values).all():
        checks.fail("item_vectors", "be finite", "NaN or infinity")
    length = np.linalg.norm(values, axis=1, keepdims=True)
    result: NDArray[np.float32] = (values / np.maximum(length, 1e-12)).astype(np.float32)
    return result


def cluster(
    vectors: NDArray[np.float32], k: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return each row's cluster, (I,), and the centres, (k, D), by Lloyd's algorithm from k rows at random.

    Ten rounds; a cluster nobody is in keeps its centre.
    """
    centres = vectors[rng.choice(len(vectors), k, replace=False)]
    for _ in range(_ROUNDS):
        own = _nearest(vectors, centres)
        counts = np.bincount(own, minlength=k)[:, None]  # (k, 1)
        order = np.argsort(own, kind="stable")
        starts = np.searchsorted(own[order], np.arange(k))
        sums = np.add.reduceat(np.concatenate([vectors[order], np.zeros_like(vectors[:1])]), starts)  # of empty: any
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), centres).astype(np.float32)
    return _nearest(vectors, centres), centres


def _nearest(vectors: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the nearest centre of each row; the square of the row itself is the same for all."""
    result: NDArray[np.int64] = ((centres**2).sum(axis=1) / 2 - vectors @ centres.T).argmin(axis=1)
    return result
