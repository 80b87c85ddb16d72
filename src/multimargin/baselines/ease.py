"""Embarrassingly shallow autoencoders: a ridge regression between items, in closed form."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from multimargin import checks
from multimargin.baselines.base import Baseline, by_history
from multimargin.baselines.inverse import invert
from multimargin.data.interactions import Interactions
from multimargin.kernels.history_scores import Weights
from multimargin.kernels.threads import get_threads
from multimargin.ranges import Range, searched
from multimargin.recommend.history_scorer import Histories, LinearScorer
from multimargin.recommend.scorer import Scorer

_ROWS = 512  # of a matrix that are worked on at a time
_Columns = Callable[[int, int], NDArray[np.float32]]  # (first, last) -> columns of P as rows


class EASE(Baseline):
    r"""Weights with which other items reproduce who touched an item, none on itself.  Also known as: EASE^R.

    .. math:: s_{uj} = \sum_{i \in H_u} B_{ij}, \qquad P = (X^\top X + \lambda I)^{-1}, \qquad
              B_{ij} = -P_{ij} / P_{jj}\ (i \ne j),\quad B_{jj} = 0

    B minimises ||X - X B||² + λ ||B||² with a diagonal of 0. A matrix is inverted in place (n³ operations, 4 n² bytes),
    n the number of items or, where users are fewer and not all weights are kept, of users, for

    .. math:: \lambda P = I - X^\top (X X^\top + \lambda I)^{-1} X

    On Gowalla that is 3.6 GB for 29,858 users and 6.7 GB for 40,981 items.

    Use:
        without training: up to some ten thousands of items or users, and memory for a matrix between them.
    Args:
        regularization: λ, above 0.
        neighbours: the weights kept for each target item, the largest without their sign, 1 or more; None: all, in a
            dense matrix, which the saved model then holds. On Gowalla 1,000 give Recall@20 .1736, NDCG@20 .1434.

    Relations:
        SLIM with weights of any sign, without its λ1, with λ2 = λ.
    Source:
        Steck, WWW 2019, arXiv 1905.03375. BARS (reczoo/BARS @1ffaf73): λ = 80 on Gowalla (Recall@20 .1765, NDCG@20
        .1467), λ = 300 on Yelp2018 (.0657 / .0552).
    Differs:
        float32 (there float64); ``neighbours`` is ours.
    Example:
        >>> EASE(80.0, neighbours=1000).regularization
        80.0
    """

    ranges = searched(regularization=Range(10.0, 3000.0, log=True))

    def __init__(self, regularization: float = 100.0, *, neighbours: int | None = None):
        self.regularization = checks.positive("regularization", regularization)
        self.neighbours = None if neighbours is None else checks.positive_int("neighbours", neighbours)

    def build(self, train: Interactions, *, rng: np.random.Generator) -> Scorer:  # noqa: ARG002
        """Solve for the weights."""
        ones = np.ones(len(train), dtype=np.float32)
        rows = scipy.sparse.csr_array((ones, train.indices, train.indptr), shape=(train.n_users, train.n_items))
        columns, k = rows.T.tocsr(), self.neighbours
        if k is None or k >= train.n_items:
            weights = _all_weights(_inverse(columns, self.regularization))
        elif train.n_users < train.n_items:
            weights = _largest_weights(_by_users(rows, columns, self.regularization), train.n_items, k)
        else:
            weights = _largest_weights(_by_items(columns, self.regularization), train.n_items, k)
        return LinearScorer(Histories.of(train), weights)


def _inverse(rows: Any, regularization: float) -> NDArray[np.float32]:
    """Return (A A' + λ I)^{-1}, (n, n), for ``rows`` A, made in place."""
    n = rows.shape[0]
    try:
        matrix = np.empty((n, n), dtype=np.float32)
    except MemoryError:
        way_out = "Drop rare items and users (k_core), or take item-knn or gf-cf."
        checks.fail("train", f"leave room for a matrix of {4 * n**2 / 2**30:,.1f} GiB", f"{n:,} of them", way_out)
    columns = rows.T.tocsr()
    for first in range(0, n, _ROWS):
        part = slice(first, first + _ROWS)
        matrix[part] = (rows[part] @ columns).toarray()
    matrix[np.diag_indices(n)] += np.float32(regularization)
    try:
        invert(matrix)
    except np.linalg.LinAlgError:
        checks.fail("regularization", "be large enough for a matrix that float32 can invert", regularization)
    return matrix


def _by_items(columns: Any, regularization: float) -> _Columns:
    """Return what returns columns of P, from a matrix between items."""
    inverse = _inverse(columns, regularization)
    return lambda first, last: inverse[first:last].copy()


def _by_users(rows: Any, columns: Any, regularization: float) -> _Columns:
    """Return what returns columns of P, from a matrix between users."""
    inverse = _inverse(rows, regularization)

    def some(first: int, last: int) -> NDArray[np.float32]:
        halfway = columns[first:last] @ inverse  # (some, U)
        found: NDArray[np.float32] = np.ascontiguousarray((columns @ np.ascontiguousarray(halfway.T)).T)  # (some, I)
        found *= np.float32(-1)
        found[np.arange(last - first), np.arange(first, last)] += 1
        found /= np.float32(regularization)
        return found

    return some


def _all_weights(inverse: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return B (I, I), made in place of P."""
    inverse /= -inverse.diagonal().copy()
    np.fill_diagonal(inverse, 0)
    return inverse


def _largest_weights(columns: _Columns, n_items: int, k: int) -> Weights:
    """Return the ``k`` largest weights, without their sign, of each column of B."""
    index, value = np.empty((n_items, k), dtype=np.int32), np.empty((n_items, k), dtype=np.float32)

    def some(first: int) -> None:
        last = min(first + _ROWS, n_items)
        found, places = columns(first, last), (np.arange(last - first), np.arange(first, last))
        found /= -found[places][:, None]
        found[places] = 0
        best = np.argpartition(np.abs(found), n_items - k, axis=1)[:, n_items - k :].astype(np.int32)
        index[first:last] = np.sort(best, axis=1)
        value[first:last] = np.take_along_axis(found, index[first:last], axis=1)

    with ThreadPoolExecutor(get_threads(), "ease") as pool:
        for done in [pool.submit(some, first) for first in range(0, n_items, _ROWS)]:
            done.result()
    return by_history(index, value)
