"""Leading singular vectors against a full decomposition."""

import numpy as np
import pytest
from baseline_cases import dense, some_interactions

from multimargin.baselines import spectrum


def plain(log):
    table = dense(log)
    table /= np.sqrt(np.maximum(table.sum(1, keepdims=True), 1))
    table /= np.sqrt(np.maximum(dense(log).sum(0), 1))
    return np.linalg.svd(table)


@pytest.mark.parametrize("shape", [(29, 37), (60, 37), (300, 200)])
@pytest.mark.parametrize("rank", [1, 5, 12])
def test_they_span_what_the_full_decomposition_s_do(shape, rank, monkeypatch):
    monkeypatch.setattr(spectrum, "_BLOCK", 4)
    log = some_interactions(*shape)
    found = spectrum.leading_items(log, rank, rng=np.random.default_rng(0))
    _, values, vectors = plain(log)
    assert found.shape == (shape[1], rank)
    np.testing.assert_allclose(found.T @ found, np.eye(rank), atol=1e-5)
    projector = vectors[:rank].T @ vectors[:rank]
    np.testing.assert_allclose(found @ found.T, projector, atol=2e-3)
    assert values[rank - 1] > values[rank]


def test_they_converge(monkeypatch):
    """From a space that is too small at first."""
    monkeypatch.setattr(spectrum, "_BLOCK", 4)
    monkeypatch.setattr(spectrum, "_FIRST", 1.0)
    log = some_interactions(300, 200)
    found = spectrum.leading_items(log, 12, rng=np.random.default_rng(0))
    _, _, vectors = plain(log)
    np.testing.assert_allclose(found @ found.T, vectors[:12].T @ vectors[:12], atol=2e-2)


def test_all_of_them_can_be_had():
    log = some_interactions(29, 20)
    found = spectrum.leading_items(log, 20, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found @ found.T, np.eye(20), atol=1e-5)
