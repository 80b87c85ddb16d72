"""The inverse of a large symmetric matrix, in its own place."""

import numpy as np
from numpy.typing import NDArray

_BLOCK = 512  # pivots at a time


def invert(matrix: NDArray[np.float32], *, block: int = _BLOCK) -> None:
    r"""Put the inverse of a positive definite ``matrix`` (n, n), whose lower triangle is read, in its place.

    The sweep operator (Goodnight 1979), ``block`` pivots K at a time, with R the other rows:

    .. math:: A_{RR} \leftarrow A_{RR} - A_{RK} A_{KK}^{-1} A_{KR}, \qquad A_{RK} \leftarrow A_{RK} A_{KK}^{-1}, \qquad
              A_{KK} \leftarrow -A_{KK}^{-1}

    After every pivot A holds minus its inverse. Only blocks on and below the diagonal are kept up: n³ operations in
    all, as by Cholesky's way, nearly all of them in products of matrices; pivots are inverted in float64. LAPACK's
    routines for triangles need as many, and crashed here at 6.7 GB in a build with 32-bit lengths.

    Raises:
        LinAlgError: a pivot cannot be inverted.
    """
    n = len(matrix)
    starts = range(0, n, block)
    for first in starts:
        pivot = slice(first, min(first + block, n))
        square = np.tril(matrix[pivot, pivot].astype(np.float64))
        inverse = np.linalg.inv(square + np.tril(square, -1).T).astype(np.float32)
        column = np.concatenate([matrix[pivot, :first].T, matrix[first:, pivot]])  # (n, b)
        product = column @ inverse
        for start in starts:
            part = slice(start, min(start + block, n))
            if start != first:
                matrix[part, : part.stop] -= product[part] @ column[: part.stop].T
        matrix[pivot, :first] = product[:first].T
        matrix[pivot.stop :, pivot] = product[pivot.stop :]
        matrix[pivot, pivot] = -inverse
    for start in starts:
        part = slice(start, min(start + block, n))
        matrix[part, : part.stop] *= -1
        square = np.tril(matrix[part, part])
        matrix[part, part] = square + np.tril(square, -1).T
        matrix[:start, part] = matrix[part, :start].T
