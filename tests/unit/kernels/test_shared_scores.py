"""Shared negatives: the products are no further from the float64 definition than the float32 definition is."""

from itertools import product

import numba
import numpy as np
import pytest
import torch

from multimargin.kernels.intrinsics import TILE_LANES, TILE_ROWS, lanes_above, multiply_tile
from multimargin.kernels.sampled_scores import sampled_scores
from multimargin.kernels.shared_scores import cpu, reference

TOLERANCE = 2e-6  # allowed beyond the float32 definition's own error, relative to the largest entry
N_USERS, N_ITEMS = 31, 701


def case(*, batch=37, n=19, dim=13, scaled=True, seed=0):
    """Return tables, (users, positives, pool), dropout factors and upstream gradients; users and items repeat."""
    rng = np.random.default_rng(seed)
    tables = [rng.standard_normal((rows, dim)) for rows in (N_USERS, N_ITEMS)]
    index = [rng.integers(0, rows, size) for rows, size in ((N_USERS, batch), (N_ITEMS, batch), (N_ITEMS, n))]
    index[1][: batch // 2] = index[2][0]  # a positive that is in the pool, more than once
    scale = (rng.random((batch, dim)) > 0.2) / 0.8 if scaled else None
    upstream = [rng.standard_normal(shape) * (rng.random(shape) > 0.4) for shape in ((batch,), (batch, n))]
    as_tensor = torch.from_numpy
    return (
        [as_tensor(table) for table in tables],
        [as_tensor(each) for each in index],
        None if scale is None else as_tensor(scale),
        [as_tensor(each) for each in upstream],
    )


def run(operation, found, *, dtype=torch.float32, similarity="cosine", wanted=(True, True), **options):
    """Return scores and gradients."""
    tables, index, scale, upstream = found
    tables = [table.to(dtype).clone().requires_grad_(need) for table, need in zip(tables, wanted, strict=True)]
    scale = None if scale is None else scale.to(dtype)
    scores = operation(*tables, *index, similarity=similarity, query_scale=scale, **options)
    if any(wanted):
        torch.autograd.backward(scores, [each.to(dtype) for each in upstream])
    return *(score.detach() for score in scores), *(table.grad for table in tables)


def assert_close(found, *, sparse=False, **options):
    exact = run(reference.shared_scores, found, dtype=torch.float64, **options)
    plain = run(reference.shared_scores, found, **options)
    ours = run(cpu.shared_scores, found, sparse=sparse, **options)
    for value, definition, wanted in zip(ours, plain, exact, strict=True):
        if wanted is None:
            assert value is None
            continue
        off = (value.to_dense().double() - wanted).abs()
        assert (off <= (definition.double() - wanted).abs() + TOLERANCE * wanted.abs().max()).all()


@pytest.mark.parametrize(
    ("similarity", "scaled", "sparse"), list(product(("cosine", "dot"), (True, False), (True, False)))
)
def test_values_and_gradients(similarity, scaled, sparse):
    assert_close(case(scaled=scaled), similarity=similarity, sparse=sparse)


@pytest.mark.parametrize(
    ("batch", "n", "dim"), [(1, 1, 2), (8, 16, 16), (9, 17, 17), (300, 40, 64), (7, 600, 67), (257, 513, 33)]
)
def test_sizes_that_fill_tiles_and_that_do_not(batch, n, dim):
    assert_close(case(batch=batch, n=n, dim=dim))


@pytest.mark.parametrize("wanted", [(True, False), (False, True), (False, False)])
def test_each_table_may_need_a_gradient_or_not(wanted):
    assert_close(case(), wanted=wanted, sparse=True)


def test_sampled_scores_comes_here_and_equals_distinct_negatives_that_are_alike():
    found = case(n=50)
    shared = run(sampled_scores, found, sparse=True)
    for ours, expected in zip(run(cpu.shared_scores, found, sparse=True), shared, strict=True):
        assert torch.equal(ours.to_dense(), expected.to_dense())
    tables, (users, positives, pool), scale, upstream = found
    alike = tables, [users, positives, pool.expand(len(users), -1)], scale, upstream
    for ours, expected in zip(shared, run(sampled_scores, alike), strict=True):
        torch.testing.assert_close(ours.to_dense(), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_items_without_a_gradient_have_no_row():
    found = case(n=5)
    _, (_, positives, pool), _, (pos_upstream, upstream) = found
    pos_upstream[:] = 0
    pos_upstream[30] = 0.5
    upstream[:] = 0
    upstream[[3, 4], 2] = torch.tensor([1.0, -1.0], dtype=torch.float64)
    gradient = run(cpu.shared_scores, found, sparse=True)[3].coalesce()
    assert gradient.indices()[0].tolist() == sorted({int(positives[30]), int(pool[2])})
    assert_close(found, sparse=True)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_the_number_of_threads_changes_nothing(at_threads, similarity):
    results = []
    for count in (1, 2, 3):
        at_threads(count)
        results.append(run(cpu.shared_scores, case(batch=70, n=300, dim=20), similarity=similarity, sparse=False))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@numba.njit
def _tile(left, start, row, step, rows, right, begin, stride, depth, out):
    multiply_tile(left, start, row, step, rows, right, begin, stride, depth, out)


@numba.njit
def _above(out, row, limit):
    return lanes_above(out, row, limit)


@pytest.mark.parametrize("rows", [1, 3, 8])
@pytest.mark.parametrize("depth", [0, 1, 7, 64])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_tile_is_a_product(rows, depth, transposed):
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((11, 70)).astype(np.float32), rng.standard_normal((70, 21)).astype(np.float32)
    out = np.full((TILE_ROWS, TILE_LANES), np.nan, np.float32)
    stored = np.ascontiguousarray(left.T) if transposed else left
    row, step = (1, 11) if transposed else (70, 1)
    _tile(stored, 2 * row + 3 * step, row, step, rows, right, 4 * 21 + 5, 21, depth, out)
    expected = left[2 : 2 + rows, 3 : 3 + depth].astype(np.float64) @ right[4 : 4 + depth, 5 : 5 + TILE_LANES]
    np.testing.assert_allclose(out[:rows], expected, rtol=1e-5, atol=1e-5)
    assert (out[rows:] == out[rows - 1]).all()


def test_lanes_above_a_limit():
    out = np.random.default_rng(1).standard_normal((TILE_ROWS, TILE_LANES)).astype(np.float32)
    out[2, 4], out[2, 5] = np.nan, np.inf
    for limit in (out[2, 0], np.float32(-np.inf), np.float32(np.nan)):
        bits = _above(out, 2, limit)
        assert [bool(bits >> lane & 1) for lane in range(TILE_LANES)] == (out[2] > limit).tolist()
