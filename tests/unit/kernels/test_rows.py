"""Row arithmetic against float64, and the guards against tiny norms."""

import numpy as np
import pytest
import torch

from multimargin.kernels.rows import add_scaled, dot, inverse_norm, through_normalisation

DIMS = [1, 2, 7, 16, 64, 67]


def rows(dim, count=2, seed=0):
    return np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)


@pytest.mark.parametrize("dim", DIMS)
def test_dot_and_add_scaled(dim):
    a, b = rows(dim)
    assert dot(a, b) == pytest.approx(float(a.astype(np.float64) @ b), rel=1e-5, abs=1e-5)
    out = a.copy()
    add_scaled(out, np.float32(0.5), b)
    np.testing.assert_allclose(out, a + np.float32(0.5) * b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dim", DIMS)
def test_inverse_norm(dim):
    (a,) = rows(dim, 1)
    assert inverse_norm(a) == pytest.approx(1 / np.linalg.norm(a.astype(np.float64)), rel=1e-6)


def test_a_row_of_zeros_is_divided_by_the_smallest_norm_of_torch():
    a = np.zeros(5, dtype=np.float32)
    assert inverse_norm(a) == pytest.approx(1e12, rel=1e-6)
    assert torch.nn.functional.normalize(torch.full((1, 4), 1e-13), dim=-1)[0, 0].item() == pytest.approx(
        1e-13 * float(inverse_norm(np.full(4, 1e-13, dtype=np.float32))), rel=1e-4
    )


@pytest.mark.parametrize("dim", [2, 7, 64])
def test_through_normalisation_is_what_autograd_says(dim):
    gradient, row = rows(dim)
    leaf = torch.from_numpy(row).double().requires_grad_()
    torch.nn.functional.normalize(leaf, dim=-1).backward(torch.from_numpy(gradient).double())
    through_normalisation(gradient, row, inverse_norm(row))
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_infinite_and_missing_numbers_stay_visible():
    a = np.array([1.0, np.inf, 2.0], dtype=np.float32)
    assert np.isinf(dot(a, np.ones(3, dtype=np.float32)))
    assert np.isnan(dot(np.array([np.nan, 1.0], dtype=np.float32), np.ones(2, dtype=np.float32)))
