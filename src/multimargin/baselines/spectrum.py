"""The leading part of the spectrum of a graph of users and items."""

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions

_BLOCK = 32  # vectors at a time: the fewer, the more powers of the matrix in a space of a size
_MORE = 2.5  # times as many directions as are asked for
_STEPS = 20  # at least, from the first block


def leading_items(train: Interactions, rank: int, *, rng: np.random.Generator) -> NDArray[np.float32]:
    r"""Return the ``rank`` right singular vectors (I, r) of D_u^{-1/2} X D_i^{-1/2} with the largest singular values.

    A block Krylov space (Musco, Musco, NeurIPS 2015, arXiv 1504.05477): with A the matrix's own product, blocks
    Q_0, A Q_0, A² Q_0, ..., each made orthogonal to all before it, until they span 2.5 times as many directions as are
    asked for; then the best of that space. Near the last of them the spectrum is dense, and which of two neighbours is
    taken does not matter to a filter.

    Args:
        train: the interactions X.
        rank: r, 1 to the smaller of U and I.
        rng: makes the first block.
    """
    per_user, per_item = (np.maximum(counts, 1) ** -0.5 for counts in (train.user_counts, train.item_counts))
    values = np.repeat(per_user, train.user_counts) * per_item[train.indices]
    shape = train.n_users, train.n_items
    rows = scipy.sparse.csr_array((values.astype(np.float32), train.indices, train.indptr), shape=shape)
    columns = rows.T.tocsr()
    block = min(_BLOCK, train.n_items)
    wanted = min(max(int(_MORE * rank), _STEPS * block), train.n_items)
    basis = np.empty((train.n_items, wanted), dtype=np.float32)
    new, n = rng.standard_normal((train.n_items, block), dtype=np.float32), 0
    while n < wanted:
        new = new[:, : wanted - n]
        for _ in range(2):  # once leaves what rounding lets through
            new = new - basis[:, :n] @ (basis[:, :n].T @ new)
            new, _ = np.linalg.qr(new)
        basis[:, n : n + new.shape[1]] = new
        n += new.shape[1]
        new = columns @ (rows @ new)
    image = rows @ basis  # (U, wanted)
    _, vectors = np.linalg.eigh((image.T @ image).astype(np.float64))  # increasing
    return basis @ vectors[:, : -rank - 1 : -1].astype(np.float32)
