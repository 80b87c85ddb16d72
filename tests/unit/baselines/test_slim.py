"""SLIM: settings reach the regression, whose own tests are the kernel's."""

import numpy as np
import pytest
from baseline_cases import dense, some_interactions

import multimargin as mm
from multimargin.kernels.filtered_scores import Graph
from multimargin.kernels.sparse_regression import sparse_regression
from multimargin.recommend import Histories

LOG = some_interactions()


@pytest.mark.parametrize(
    "settings", [{"l1": 0.2, "l2": 3.0}, {"l1": 0.0, "l2": 1.0, "neighbours": 3, "tolerance": 1e-9, "sweeps": 999}]
)
def test_scores_are_sums_of_the_regression_s_weights(settings):
    scorer = mm.SLIM(**settings).build(LOG, rng=None)
    graph = Graph.of(LOG.indptr, LOG.indices, LOG.n_items)
    given = {name: value for name, value in settings.items() if name != "neighbours"}
    index, value = sparse_regression(graph, settings.get("neighbours", 37), **given, impl="reference")
    weights = np.zeros((37, 37))
    for item in range(37):
        filled = index[item] >= 0
        weights[index[item, filled], item] = value[item, filled]
    np.testing.assert_allclose(scorer.scores(Histories.of(LOG)), dense(LOG) @ weights, atol=5e-3)
    assert np.diff(scorer.weights.tocsc().indptr).max() <= settings.get("neighbours", 37)


@pytest.mark.parametrize("name", ["l1", "l2", "neighbours", "sweeps", "tolerance"])
def test_broken_arguments_are_named(name):
    with pytest.raises(mm.ArgumentError, match=f"{name} must be"):
        mm.SLIM(**{name: -1 if name == "l1" else 0})
