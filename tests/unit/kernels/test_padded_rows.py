"""Dot products and sums of rows by their places."""

import numba
import numpy as np
import pytest

from multimargin.kernels.padded_rows import add_row, dot_rows


@numba.njit
def _dot(a, at, b, start, width):
    return dot_rows(a, at, b, start, width)


@numba.njit
def _add(out, at, row, start, width, factor):
    add_row(out, at, row, start, width, factor)


@pytest.mark.parametrize("width", [16, 64, 80])
def test_rows(width):
    a, b = np.random.default_rng(0).standard_normal((2, 3, width)).astype(np.float32)
    exact = a[2].astype(float) @ b[1].astype(float)
    assert _dot(a, 2 * width, b, width, width) == pytest.approx(exact, rel=1e-5, abs=1e-5)
    out = a.copy()
    _add(out, width, b, 0, width, np.float32(0.5))
    np.testing.assert_allclose(out[1], a[1] + 0.5 * b[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(out[[0, 2]], a[[0, 2]])
