"""Propagation against dense matrices, float64, and against itself with other numbers of threads."""

import itertools

import numpy as np
import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.kernels.draws import bits_reference
from multimargin.kernels.propagation import Graph, Noise, order, propagate, propagate_rows

SHAPES = [(37, 53, 8), (37, 53, 64), (41, 29, 83), (29, 17, 16)]
WEIGHTS = [(1.0,), (0.3, 0.7), (0.1, 0.2, 0.3, 0.4), (0.0, 0.5, 0.5)]
USERS, ITEMS = torch.tensor([3, 0, 7, 20]), torch.tensor([1, 5, 2, 9, 11, 16])


def touched(n_users, n_items):
    """Return a boolean matrix in which one user and one item have nothing."""
    found = np.random.default_rng(n_users).random((n_users, n_items)) < 0.15
    found[3], found[:, 5] = False, False
    return found


def graph_of(matrix):
    indptr = np.concatenate(([0], np.cumsum(matrix.sum(axis=1)))).astype(np.int64)
    return Graph.of(indptr, np.nonzero(matrix)[1].astype(np.int32), matrix.shape[1])


def dense(matrix):
    """Return A as a dense matrix of users and items together."""
    n_users, n_items = matrix.shape
    whole = np.zeros((n_users + n_items,) * 2)
    whole[:n_users, n_users:], whole[n_users:, :n_users] = matrix, matrix.T
    degrees = whole.sum(axis=0)
    scale = np.array([d**-0.5 if d else 0.0 for d in degrees])
    return torch.from_numpy(scale[:, None] * whole * scale)


def directions(key, layer, rows, dim):
    """Return the noise of a layer, entry by entry."""
    result = np.empty((rows, dim))
    for row in range(rows):
        for d in range(dim):
            number = ((layer - 1) * rows + row) * ((dim + 1) // 2) + d // 2
            both = int(bits_reference(key, np.array([number], dtype=np.uint64))[0])
            result[row, d] = ((both >> 32 if d % 2 else both & 0xFFFFFFFF) >> 8) / 2**24
        result[row] /= np.sqrt((result[row] ** 2).sum())
    return torch.from_numpy(result)


def layers_of(matrix, tables, n, noise=None):
    """Return all layers, users and items together."""
    layers = [torch.cat(tables)]
    for layer in range(1, n + 1):
        made = dense(matrix) @ layers[-1]
        if noise is not None:
            made = made + noise.size * made.detach().sign() * directions(noise.key, layer, *made.shape)
        layers.append(made)
    return layers


def tables_of(n_users, n_items, dim, dtype=torch.float32):
    rng = np.random.default_rng(dim)
    return [torch.from_numpy(rng.standard_normal((n, dim))).to(dtype).requires_grad_() for n in (n_users, n_items)]


def gradients(outputs, tables, seed=0):
    """Return the gradients of a random weighting of ``outputs``."""
    rng = np.random.default_rng(seed)
    total = sum((each * torch.from_numpy(rng.standard_normal(each.shape)).to(each.dtype)).sum() for each in outputs)
    found = torch.autograd.grad(total, tables, allow_unused=True)
    return [torch.zeros_like(table) if each is None else each for each, table in zip(found, tables, strict=True)]


def close(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("impl", ["cpu", "reference"])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_whole_tables_are_the_polynomial_of_a_dense_matrix(shape, weights, impl):
    n_users, n_items, _ = shape
    matrix, tables = touched(n_users, n_items), tables_of(*shape)
    exact = [table.detach().double().requires_grad_() for table in tables]
    layers = layers_of(matrix, exact, len(weights) - 1)
    wanted = sum(w * layer for w, layer in zip(weights, layers, strict=True)).split([n_users, n_items])
    found = propagate(graph_of(matrix), *tables, weights, impl=impl)
    close(found, wanted)
    close(gradients(found, tables), gradients(wanted, exact))


@pytest.mark.parametrize("impl", ["cpu", "reference"])
@pytest.mark.parametrize("noise", [None, Noise(0.3, 99)])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_those_of_dense_layers(shape, weights, noise, impl):
    n_users = shape[0]
    matrix, tables = touched(*shape[:2]), tables_of(*shape)
    exact = [table.detach().double().requires_grad_() for table in tables]
    layers = layers_of(matrix, exact, len(weights) - 1, noise)
    kept = 0, len(weights) - 1, len(weights) // 2
    chosen = [sum(w * layer for w, layer in zip(weights, layers, strict=True)), *(layers[k] for k in kept)]
    wanted = [rows for each in chosen for rows in (each[USERS], each[n_users + ITEMS])]
    pairs = propagate_rows(graph_of(matrix), *tables, USERS, ITEMS, weights, kept=kept, noise=noise, impl=impl)
    found = [rows for pair in pairs for rows in pair]
    close(found, wanted)
    for some in (range(8), [0, 1], [0], [3], [4, 7]):  # which of them have a gradient
        made = propagate_rows(graph_of(matrix), *tables, USERS, ITEMS, weights, kept=kept, noise=noise, impl=impl)
        made = [rows for pair in made for rows in pair]
        exactly = [
            rows
            for each in _again(matrix, exact, weights, noise, kept)
            for rows in (each[USERS], each[n_users + ITEMS])
        ]
        close(gradients([made[k] for k in some], tables), gradients([exactly[k] for k in some], exact))


def _again(matrix, tables, weights, noise, kept):
    layers = layers_of(matrix, tables, len(weights) - 1, noise)
    return [sum(w * layer for w, layer in zip(weights, layers, strict=True)), *(layers[k] for k in kept)]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_spread_out_or_gathered_the_gradient_is_the_same(share, monkeypatch):
    from multimargin.kernels.propagation import cpu

    matrix, tables = touched(37, 53), tables_of(37, 53, 20)
    graph = graph_of(matrix)
    wanted = gradients(propagate_rows(graph, *tables, USERS, ITEMS, WEIGHTS[2], impl="reference")[0], tables)
    monkeypatch.setattr(cpu, "_SPARSE", share)
    found = gradients(propagate_rows(graph, *tables, USERS, ITEMS, WEIGHTS[2])[0], tables)
    close(found, wanted)


def test_the_same_bits_with_any_number_of_threads(at_threads):
    matrix, tables = touched(41, 29), tables_of(41, 29, 64)
    results = []
    for threads in (1, 2, 3):
        at_threads(threads)
        graph = graph_of(matrix)
        rows = propagate_rows(graph, *tables, USERS, ITEMS, WEIGHTS[2], kept=(1,), noise=Noise(0.1, 5))
        found = [*propagate(graph, *tables, WEIGHTS[2]), *(each for pair in rows for each in pair)]
        results.append([*found, *gradients(found, tables)])
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            assert torch.equal(one, same)


def test_gradcheck():
    matrix, tables = touched(29, 17), tables_of(29, 17, 2, torch.float64)
    graph = graph_of(matrix)
    torch.autograd.gradcheck(lambda u, i: propagate(graph, u, i, WEIGHTS[2]), tables)

    def rows(u, i):
        pairs = propagate_rows(graph, u, i, USERS, ITEMS, WEIGHTS[1], kept=(0, 1))
        return tuple(each for pair in pairs for each in pair)

    torch.autograd.gradcheck(rows, tables)


def test_an_order_visits_every_row_once_and_changes_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    matrix = rng.random((300, 200)) < 0.05
    tables = tables_of(300, 200, 16)
    plain = propagate(graph_of(matrix), *tables, WEIGHTS[2])
    monkeypatch.setattr(order, "_SMALL", 0)
    monkeypatch.setattr(order, "_GROUP", 32)
    graph = graph_of(matrix)
    for side, n in ((graph.users, 300), (graph.items, 200)):
        assert (np.sort(side.order) == np.arange(n)).all()
        assert (side.order != np.arange(n)).any()
    for one, other in zip(plain, propagate(graph, *tables, WEIGHTS[2]), strict=True):
        assert torch.equal(one, other)


def test_rows_with_the_same_neighbours_are_visited_together(monkeypatch):
    monkeypatch.setattr(order, "_SMALL", 0)
    monkeypatch.setattr(order, "_GROUP", 20)
    rng = np.random.default_rng(0)
    region_of_user, region_of_item = rng.integers(4, size=200), rng.integers(4, size=120)
    matrix = (rng.random((200, 120)) < 0.3) & (region_of_user[:, None] == region_of_item)
    graph = graph_of(matrix)
    for side, regions in ((graph.users, region_of_user), (graph.items, region_of_item)):
        changes = (np.diff(regions[side.order]) != 0).mean()
        assert changes < 0.4  # of one row after the other; at random three quarters


def test_threads_get_equal_work():
    matrix = touched(37, 53)
    side = graph_of(matrix).users
    cuts = side.cuts(side.order, 3)
    work = [int((side.degree[side.order[a:b]] + 8).sum()) for a, b in itertools.pairwise(cuts)]
    assert cuts[0] == 0
    assert cuts[-1] == 37
    assert max(work) - min(work) <= 2 * (side.degree.max() + 8)


def test_impl_must_fit_the_tables():
    graph, tables = graph_of(touched(29, 17)), tables_of(29, 17, 2, torch.float64)
    with pytest.raises(ArgumentError, match="impl must be 'auto' or 'reference' for these tables; got 'cpu'"):
        propagate(graph, *tables, (1.0,), impl="cpu")
    with pytest.raises(ArgumentError, match="impl must be one of"):
        propagate_rows(graph, *tables, USERS, ITEMS, (1.0,), impl="fast")
