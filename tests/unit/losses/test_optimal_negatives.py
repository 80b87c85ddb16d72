"""LoOp: the closest points of two arcs."""

import math

import numpy as np
import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import OptimalNegativesLoss
from multimargin.losses.optimal_negatives import closest_cosine


def unit(rng, *shape):
    values = rng.standard_normal(shape)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def arc(one, other, shares):
    """Return points of the shorter arc, (len(shares), D)."""
    angle = math.acos(np.clip(one @ other, -1, 1))
    if angle < 1e-9:
        return np.repeat(one[None], len(shares), axis=0)
    return (np.sin((1 - shares) * angle)[:, None] * one + np.sin(shares * angle)[:, None] * other) / math.sin(angle)


def found(x, y):
    x, y = torch.from_numpy(x)[None], torch.from_numpy(y)[None]
    first, second = (torch.einsum("bd,bnd->bn", x[:, end], y) for end in (0, 1))
    return closest_cosine((x[:, 0] * x[:, 1]).sum(-1)[:, None, None], y @ y.transpose(1, 2), first, second)[0]


@pytest.mark.parametrize("dim", [2, 3, 5])  # in the plane arcs overlap, on the sphere they cross
def test_equals_a_search(dim):
    rng, shares = np.random.default_rng(dim), np.linspace(0, 1, 401)
    best_inside = 0
    for _ in range(60):
        x, y = unit(rng, 2, dim), unit(rng, 2, dim)
        products = arc(*x, shares) @ arc(*y, shares).T
        value = found(x, y)[0, 1].item()
        assert value == pytest.approx(products.max(), abs=2e-4)
        assert value >= products.max() - 1e-9
        s, t = np.unravel_index(products.argmax(), products.shape)
        best_inside += 0 < s < 400 and 0 < t < 400
    assert best_inside >= 5  # all kinds of optimum occur


def test_a_negative_with_itself_is_a_point():
    rng = np.random.default_rng(0)
    x, y = unit(rng, 2, 4), unit(rng, 1, 4)
    products = arc(*x, np.linspace(0, 1, 2001)) @ y[0]
    assert found(x, y)[0, 0].item() == pytest.approx(products.max(), abs=1e-6)


def test_pairs_are_symmetric():
    rng = np.random.default_rng(1)
    value = found(unit(rng, 2, 4), unit(rng, 5, 4))
    torch.testing.assert_close(value, value.T)


def test_descending_moves_negatives_away_from_the_arc():
    u, i = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    j = torch.tensor([[[0.7, 0.7, 0.1], [0.6, 0.6, 0.5]]], requires_grad=True)
    loss = OptimalNegativesLoss(0.1)
    value = loss(torch.zeros(1), torch.zeros(1, 2), user_vectors=u, positive_vectors=i, negative_vectors=j)
    (gradient,) = torch.autograd.grad(value, j)
    assert gradient[0, 0, 2] < 0  # up, away from the arc in the plane
    moved = (j - 0.5 * gradient).detach()
    after = loss(torch.zeros(1), torch.zeros(1, 2), user_vectors=u, positive_vectors=i, negative_vectors=moved)
    assert after < value


def test_a_broken_margin_is_named():
    with pytest.raises(ArgumentError, match="margin must be 0 or more"):
        OptimalNegativesLoss(-1)
