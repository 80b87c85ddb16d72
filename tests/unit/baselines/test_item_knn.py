"""Nearest neighbours against a plain loop over dense matrices."""

import numpy as np
import pytest
from baseline_cases import dense, some_interactions

import multimargin as mm
from multimargin.recommend import Histories

LOG = some_interactions()
EVERYBODY = Histories.of(LOG)


def plain(table, k, *, normalise, centre):
    """Return scores (U, I) as BARS computes them, cosine."""
    lengths = np.sqrt(table.sum(0))
    similarity = table.T @ table / np.maximum(np.outer(lengths, lengths), 1e-12)
    np.fill_diagonal(similarity, 0)
    for item in range(len(similarity)):  # ties to the lower index
        similarity[item, np.argsort(-similarity[item], kind="stable")[k:]] = 0
    if normalise:
        similarity /= np.maximum(similarity.sum(1, keepdims=True), 1e-12)
    means = table.mean(0) if centre else np.zeros(table.shape[1])
    return (table - means) @ similarity.T + means


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("k", [1, 6, 100])
def test_scores_are_those_of_dense_matrices(k, normalise, centre):
    scorer = mm.ItemKNN(k, normalise=normalise, centre=centre).build(LOG, rng=None)
    expected = plain(dense(LOG), k, normalise=normalise, centre=centre)
    np.testing.assert_allclose(scorer.scores(EVERYBODY), expected, rtol=1e-5, atol=1e-6)


def test_shrinkage_and_similarity_reach_the_kernel():
    default = mm.ItemKNN(6).build(LOG, rng=None).scores(EVERYBODY)
    for other in (
        mm.ItemKNN(6, shrinkage=5.0),
        mm.ItemKNN(6, similarity="jaccard"),
        mm.ItemKNN(6, similarity="pearson"),
    ):
        assert not np.allclose(other.build(LOG, rng=None).scores(EVERYBODY), default, atol=1e-3)


def test_similar_items_are_the_weights_of_one_item_in_the_history():
    model = mm.fit(LOG, encoder=mm.ItemKNN(6))
    weights = model.scorer.weights.toarray()
    found = model.similar_items([4], 3)
    for item, score in zip(found["similar_item_id"], found["score"], strict=True):
        assert score == pytest.approx(weights[4, item])
    assert found["score"].to_list() == sorted(weights[4][weights[4] > 0].tolist())[::-1][:3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"neighbours": 0}, "neighbours must be 1 or more"),
        ({"similarity": "euclid"}, "similarity must be one of cosine, jaccard, pearson"),
        ({"shrinkage": -1.0}, "shrinkage must be 0 or more"),
    ],
)
def test_broken_arguments_are_named(arguments, message):
    with pytest.raises(mm.ArgumentError, match=message):
        mm.ItemKNN(**arguments)
