"""Dot products and sums of rows by their places."""

import numba
import numpy as np
import pytest

from multimargin.kernels.padded_rows import add_row, dot_rows, round_row


@numba.njit
def _dot(a, at, b, start, width):
    return dot_rows(a, at, b, start, width)


@numba.njit
def _add(out, at, row, start, width, factor):
    add_row(out, at, row, start, width, factor)


@numba.njit
def _round(row, start, width, factor, words, place, stride):
    return round_row(row, start, width, factor, words, place, stride)


@pytest.mark.parametrize("width", [16, 64, 80])
def test_rows(width):
    a, b = np.random.default_rng(0).standard_normal((2, 3, width)).astype(np.float32)
    exact = a[2].astype(float) @ b[1].astype(float)
    assert _dot(a, 2 * width, b, width, width) == pytest.approx(exact, rel=1e-5, abs=1e-5)
    out = a.copy()
    _add(out, width, b, 0, width, np.float32(0.5))
    np.testing.assert_allclose(out[1], a[1] + 0.5 * b[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(out[[0, 2]], a[[0, 2]])


@pytest.mark.parametrize("stride", [1, 5])
@pytest.mark.parametrize("width", [16, 64, 80])
def test_rounding_to_bytes(width, stride):
    rows = np.random.default_rng(0).uniform(-1, 1, (3, width)).astype(np.float32)
    rows[1, :4] = 1, -1, 0, 0.5 / 127
    words = np.full((width // 4 + 1, stride), 7, np.int32)
    lost = _round(rows, width, width, np.float32(127), words, stride - 1, stride)
    products = 127 * rows[1].astype(float)
    rounded = words[:-1, stride - 1].copy().view(np.uint8).astype(float) - 128
    assert np.abs(rounded - products).max() <= 0.5001
    assert rounded[:3].tolist() == [127, -127, 0]
    assert lost == pytest.approx(((products - rounded) ** 2).sum(), rel=1e-3)
    assert (words[-1] == 7).all()
    assert (words[:, : stride - 1] == 7).all()
