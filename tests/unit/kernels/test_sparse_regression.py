"""Sparse regressions: compiled equals the definition, which satisfies the conditions of the minimum."""

import numpy as np
import pytest
from baseline_cases import dense, some_interactions

from multimargin.kernels.filtered_scores import Graph
from multimargin.kernels.sparse_regression import sparse_regression

LOG = some_interactions()
GRAPH = Graph.of(LOG.indptr, LOG.indices, LOG.n_items)


def to_matrix(index, value):
    """Return (I, I): column j holds the weights of item j."""
    matrix = np.zeros((len(index), len(index)))
    for item in range(len(index)):
        filled = index[item] >= 0
        matrix[index[item, filled], item] = value[item, filled]
    return matrix


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 2.0), (0.3, 0.5), (2.0, 10.0)])
def test_compiled_equals_reference(l1, l2):
    settings = {"l1": l1, "l2": l2, "sweeps": 2000, "tolerance": 1e-10}
    found = to_matrix(*sparse_regression(GRAPH, 37, **settings))
    expected = to_matrix(*sparse_regression(GRAPH, 37, **settings, impl="reference"))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 2.0), (0.3, 0.5)])
def test_no_weight_can_be_improved(l1, l2):
    """The gradient is 0 where a weight is above 0, and not below 0 elsewhere (Karush, Kuhn, Tucker)."""
    weights = to_matrix(*sparse_regression(GRAPH, 37, l1=l1, l2=l2, sweeps=5000, tolerance=1e-12))
    table = dense(LOG)
    gradient = table.T @ (table @ weights - table) + l1 + l2 * weights
    np.fill_diagonal(gradient, 0)
    assert (weights >= 0).all()
    assert not weights.diagonal().any()
    assert np.abs(gradient[weights > 0]).max() < 1e-4
    assert gradient[weights == 0].min() > -1e-4
    assert (weights > 0).sum() > 100


def test_the_largest_are_kept():
    index, value = sparse_regression(GRAPH, 37, l1=0.1, l2=1.0)
    few = sparse_regression(GRAPH, 3, l1=0.1, l2=1.0)
    assert (np.diff(value, axis=1) <= 0).all()
    np.testing.assert_array_equal(few[0], index[:, :3])
    np.testing.assert_array_equal(few[1], value[:, :3])


def test_one_sweep_is_one_sweep():
    once = sparse_regression(GRAPH, 37, l1=0.1, l2=1.0, sweeps=1)[1]
    assert not np.allclose(once, sparse_regression(GRAPH, 37, l1=0.1, l2=1.0)[1], atol=1e-3)


def test_threads_do_not_matter(at_threads):
    found = []
    for count in (1, 2, 3):
        at_threads(count)
        found.append(sparse_regression(GRAPH, 5, l1=0.1, l2=1.0))
    for each in found[1:]:
        np.testing.assert_array_equal(each[0], found[0][0])
        np.testing.assert_array_equal(each[1], found[0][1])
