"""A step in one pass is what a plain loop computes, and what PyTorch's Adam does."""

import numpy as np
import pytest
import torch

from multimargin.kernels.dense_adam import dense_adam, reference
from multimargin.optim import LazyAdam


def by_loop(values, *, betas, rate, eps):
    """Return parameter and moments after the step, entry by entry."""
    result = []
    for w, g, m, v in values:
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        result.append((w - rate * m / (v**0.5 + eps), m, v))
    return np.array(result)


@pytest.mark.parametrize("implementation", [dense_adam, reference.dense_adam])
@pytest.mark.parametrize("threads", [1, 2])
def test_equals_a_plain_loop(implementation, threads, at_threads):
    at_threads(threads)
    values = np.random.default_rng(0).standard_normal((1009, 4))
    values[:, 3] **= 2
    options = {"betas": (0.8, 0.95), "rate": 0.03, "eps": 1e-3}
    w, g, m, v = (torch.from_numpy(column.astype(np.float32)) for column in values.T)
    implementation(w, g, m, v, **options)
    found = np.stack((w, m, v), axis=1)
    np.testing.assert_allclose(found, by_loop(values, **options), rtol=1e-5, atol=1e-6)


def test_a_parameter_with_dense_gradients_is_moved_as_by_pytorch():
    rng = np.random.default_rng(1)
    start = torch.from_numpy(rng.standard_normal((30, 7)).astype(np.float32))
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    lazy, dense = LazyAdam([ours], lr=0.01), torch.optim.Adam([theirs], lr=0.01)
    for _ in range(20):
        ours.grad = torch.from_numpy(rng.standard_normal((30, 7)).astype(np.float32))
        theirs.grad = ours.grad.clone()
        lazy.step()
        dense.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_other_dtypes_and_strides_take_the_reference():
    w, g, m, v = (torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(k)) for k in range(4))
    expected = by_loop(np.stack([each.numpy().ravel() for each in (w, g, m, v)], 1), betas=(0.9, 0.99), rate=1, eps=1)
    dense_adam(w, g, m, v, betas=(0.9, 0.99), rate=1.0, eps=1.0)
    np.testing.assert_allclose(w.numpy().ravel(), expected[:, 0])
