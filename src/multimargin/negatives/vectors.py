"""Item vectors at length 1, clusters of them, and who is near whom."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin.data.item_vectors import read_item_vectors
from multimargin.data.vocabulary import Vocabulary

_ROUNDS = 10
_BLOCK = 1 << 19  # similarities that are held at a time: what lies in a cache is sorted three times as fast


def read_vectors(given: Any, items: Vocabulary) -> NDArray[np.float32]:
    """Return (I, any) vectors of length 1 from an array or a file, as ``read_item_vectors`` takes it; 0 stays 0."""
    return unit(read_item_vectors(given, items))


def unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return rows of length 1; 0 stays 0."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: NDArray[np.float32] = (vectors / np.maximum(length, 1e-12)).astype(np.float32)
    return result


def neighbours(vectors: NDArray[np.float32], skipped: int, kept: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return each row's neighbours after the ``skipped`` nearest ones, (I, kept), and the products with them.

    Nearest first, itself left out; of equals, the one of lower index first. I**2 products, never held all at once.
    """
    n, upto = len(vectors), skipped + kept
    index = np.empty((n, kept), np.int32)
    products = np.empty((n, kept), np.float32)
    rows = max(_BLOCK // n, 1)
    for start in range(0, n, rows):
        block = vectors[start : start + rows] @ vectors.T + np.float32(0)  # (rows, I), no -0
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -np.inf
        bits = block.view(np.int32)
        order = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)  # increases with the product
        order = (order << 32) - np.arange(n)
        order.partition(n - upto, axis=1)
        best = np.sort(order[:, n - upto :], axis=1)[:, ::-1][:, skipped:]
        index[start : start + rows] = -best & 0xFFFFFFFF
        products[start : start + rows] = np.take_along_axis(block, index[start : start + rows].astype(np.int64), axis=1)
    return index, products


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
