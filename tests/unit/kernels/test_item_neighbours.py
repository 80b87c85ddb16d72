"""Neighbours of items: compiled equals the definition to the last bit."""

import math

import numpy as np
import pytest
from baseline_cases import dense, some_interactions

from multimargin.errors import ArgumentError
from multimargin.kernels.filtered_scores import Graph
from multimargin.kernels.item_neighbours import MEASURES, item_neighbours

LOG = some_interactions()
GRAPH = Graph.of(LOG.indptr, LOG.indices, LOG.n_items)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("k", "shrinkage"), [(1, 0.0), (5, 3.0), (37, 0.0)])
def test_compiled_equals_reference(measure, k, shrinkage):
    found = item_neighbours(GRAPH, k, measure=measure, shrinkage=shrinkage)
    expected = item_neighbours(GRAPH, k, measure=measure, shrinkage=shrinkage, impl="reference")
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_measures_by_hand():
    """Items 1 and 2 of five users: 3 and 2 users, 1 in common."""
    users, items = np.array([0, 1, 2, 2, 3]), np.array([0, 0, 0, 1, 1])
    starts = np.array([0, 1, 2, 4, 5, 5])
    graph = Graph.of(starts, items.astype(np.int32), 2)
    assert len(users) == 5
    expected = {"cosine": 1 / math.sqrt(6), "jaccard": 1 / 4, "pearson": 0.0}  # 5 - 6 < 0: none
    for measure, value in expected.items():
        index, similarity = item_neighbours(graph, 1, measure=measure)
        assert index[0, 0] == (1 if value else -1)
        assert similarity[0, 0] == pytest.approx(value)
    assert item_neighbours(graph, 1, measure="jaccard", shrinkage=4.0)[1][0, 0] == pytest.approx(1 / 8)


def test_pearson_is_the_correlation_of_columns():
    index, similarity = item_neighbours(GRAPH, 36, measure="pearson")
    table = dense(LOG)
    for item in (0, 3, 36):
        for other, value in zip(index[item], similarity[item], strict=True):
            if other >= 0:
                assert value == pytest.approx(np.corrcoef(table[:, item], table[:, other])[0, 1], abs=1e-6)


def test_ties_go_to_the_lower_index():
    starts, items = np.array([0, 4, 8]), np.tile(np.arange(4, dtype=np.int32), 2)
    index, _ = item_neighbours(Graph.of(starts, items, 4), 2, measure="cosine")
    assert index.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


def test_threads_do_not_matter(at_threads, monkeypatch):
    found = []
    for count in (1, 2, 3):
        at_threads(count)
        found.append(item_neighbours(GRAPH, 4, measure="cosine"))
    for each in found[1:]:
        np.testing.assert_array_equal(each[0], found[0][0])
        np.testing.assert_array_equal(each[1], found[0][1])


def test_unknown_measure():
    with pytest.raises(ArgumentError, match="measure must be one of cosine, jaccard, pearson; got 'cosin'"):
        item_neighbours(GRAPH, 1, measure="cosin")
