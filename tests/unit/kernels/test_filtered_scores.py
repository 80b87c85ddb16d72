"""Filters of histories: compiled equals the definition to rounding, and a row depends on nothing but its history."""

import numpy as np
import pytest
from baseline_cases import dense, rows_of, some_interactions

from multimargin.errors import ArgumentError
from multimargin.kernels.filtered_scores import Filter, Graph, filtered_scores

LOG = some_interactions()
GRAPH = Graph.of(LOG.indptr, LOG.indices, LOG.n_items)


def make(order, rank, seed=0):
    rng = np.random.default_rng(seed)
    coefficients, before, after = (rng.standard_normal(n).astype(np.float32) for n in (order + 1, 37, 37))
    left, right = (rng.standard_normal((37, rank)).astype(np.float32) for _ in range(2))
    return Filter(coefficients, before, after, left, right)


def some_histories(n=71, seed=1):
    histories = np.random.default_rng(seed).random((n, 37)) < 0.2
    histories[2] = False
    return histories


def test_a_graph_has_both_directions():
    table = dense(LOG)
    for item in range(LOG.n_items):
        users = GRAPH.users[GRAPH.item_starts[item] : GRAPH.item_starts[item + 1]]
        assert users.tolist() == np.flatnonzero(table[:, item]).tolist()


@pytest.mark.parametrize(("order", "rank"), [(0, 3), (1, 0), (1, 7), (2, 1), (8, 16), (5, 0)])
def test_compiled_equals_reference(order, rank):
    factors = make(order, rank)
    found = filtered_scores(*rows_of(some_histories()), GRAPH, factors)
    expected = filtered_scores(*rows_of(some_histories()), GRAPH, factors, impl="reference")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)
    assert not found[2].any()


def test_a_polynomial_by_its_definition():
    """The eigenvalues of I - 2A, each through the polynomial."""
    factors, table = make(6, 0), dense(LOG)
    per_user, per_item = np.maximum(table.sum(1), 1), table.sum(0)
    halves = np.where(per_item > 0, np.maximum(per_item, 1) ** -0.5, 0)
    scaled = table * per_user[:, None] ** -0.5 * halves
    values, vectors = np.linalg.eigh(np.eye(37) - 2 * scaled.T @ scaled)
    response = np.polynomial.chebyshev.chebval(values, factors.coefficients)
    signal = some_histories() * factors.before * (per_item > 0)
    expected = signal @ (vectors * response) @ vectors.T * factors.after * (per_item > 0)
    np.testing.assert_allclose(filtered_scores(*rows_of(some_histories()), GRAPH, factors), expected, atol=1e-4)


def test_a_row_does_not_depend_on_the_others():
    factors, histories = make(4, 5), some_histories()
    whole = filtered_scores(*rows_of(histories), GRAPH, factors)
    for row in (0, 31, 32, 70):
        alone = filtered_scores(*rows_of(histories[row : row + 1]), GRAPH, factors)
        np.testing.assert_array_equal(alone[0], whole[row])


def test_unknown_impl():
    with pytest.raises(ArgumentError, match="impl must be one of"):
        filtered_scores(*rows_of(some_histories()), GRAPH, make(1, 0), impl="gpu")
