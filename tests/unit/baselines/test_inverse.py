"""The inverse in place."""

import numpy as np
import pytest

from multimargin.baselines.inverse import invert


@pytest.mark.parametrize(("n", "block"), [(1, 4), (7, 3), (64, 16), (65, 16), (65, 100)])
def test_it_is_the_inverse_whatever_stands_above_the_diagonal(n, block):
    rng = np.random.default_rng(n)
    columns = rng.random((3 * n, n)) < 0.3
    matrix = columns.T.astype(np.float32) @ columns + np.eye(n, dtype=np.float32)
    expected = np.linalg.inv(matrix.astype(np.float64))
    given = np.tril(matrix) + np.triu(rng.standard_normal((n, n)).astype(np.float32), 1)
    invert(given, block=block)
    np.testing.assert_allclose(given, expected, atol=2e-6)
    np.testing.assert_array_equal(given, given.T)


def test_what_has_none_is_an_error():
    with pytest.raises(np.linalg.LinAlgError):
        invert(np.zeros((4, 4), dtype=np.float32))
