"""From vectors of texts to vectors of behaviour: who would touch an item, told from what it is called."""

import numpy as np
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions
from multimargin.negatives.vectors import unit

_OVERSAMPLED = 10  # directions beyond those asked for
_POWERS = 6  # of the matrix, so that directions part
_RIDGES = tuple(10.0**power for power in np.arange(-4, 3.5, 0.5))  # of the mean eigenvalue


def collaborative_vectors(train: Interactions, rank: int) -> NDArray[np.float32]:
    r"""Return (I, rank or fewer) vectors of length 1 whose products are how alike the items' users are.

    .. math:: \tilde A = D_U^{-1/2} A D_I^{-1/2} \approx U \Sigma V^\top, \qquad y_i = \Sigma v_i / |\Sigma v_i|

    A is the training matrix, D are degrees; :math:`V \Sigma^2 V^\top` is what of co-occurrence ``rank`` directions
    hold. They are found by powers of :math:`\tilde A^\top \tilde A` on a fixed random start (Halko et al. 2011, arXiv
    0909.4061, algorithm 4.4). An item without interactions gets zeros.
    """
    by_degree = 1 / np.sqrt(np.maximum(train.user_counts[train.user_index] * train.item_counts[train.indices], 1))
    matrix = train.to_csr().astype(np.float64)
    matrix.data = by_degree
    width = min(rank + _OVERSAMPLED, train.n_items, train.n_users)
    start = np.random.Generator(np.random.PCG64(0)).standard_normal((train.n_items, width))
    for _ in range(_POWERS):
        start = np.linalg.qr(matrix.T @ (matrix @ start))[0]  # (I, width)
    _, singular, directions = np.linalg.svd(matrix @ start, full_matrices=False)
    kept = min(rank, width)
    return unit(start @ (directions[:kept].T * singular[:kept]))


def adapted(texts: NDArray[np.float32], train: Interactions, rank: int) -> NDArray[np.float32]:
    r"""Return (I, rank or fewer) vectors of length 1: what a linear map of ``texts`` (I, T) tells of behaviour.

    .. math:: a_i = W^\top (x_i - \bar x), \qquad
              W = \arg\min_W \sum_i c_i \, |W^\top (x_i - \bar x) - (y_i - \bar y)|^2 + \lambda |W|^2

    :math:`y_i` are ``collaborative_vectors``, weighted by the item's count :math:`c_i`, since more interactions say
    more; means are weighted alike, and left out of :math:`a`, where all items would share them. The ridge
    :math:`\lambda` is the one of fifteen with the least error of an item that is left out (exact, from one
    eigendecomposition), so that nothing is to be set. Items without interactions are mapped too; one whose vector is 0,
    because it has no text, stays at 0.
    """
    behaviour = collaborative_vectors(train, rank)
    weight = train.item_counts / max(len(train), 1)  # (I,)
    centred, goal = texts - weight @ texts, behaviour - weight @ behaviour
    root = np.sqrt(weight)[:, None]
    values, vectors = np.linalg.eigh(((centred * root).T @ (centred * root)).astype(np.float64))
    given = centred @ vectors  # (I, T), in the eigenvectors' directions
    cross = (given * weight[:, None]).T @ goal  # (T, rank)
    scale = max(values.mean(), 1e-12)

    def left_out(ridge: float) -> float:
        shrunk = 1 / (np.maximum(values, 0) + ridge * scale)
        leverage = weight * ((given**2) @ shrunk)  # (I,)
        rest = goal - given @ (shrunk[:, None] * cross)
        return float(weight @ ((rest / np.maximum(1 - leverage, 1e-6)[:, None]) ** 2).sum(axis=1))

    ridge = min(_RIDGES, key=left_out)
    result = given @ (cross / (np.maximum(values, 0) + ridge * scale)[:, None])
    return unit(np.where(texts.any(axis=1, keepdims=True), result, 0.0))
