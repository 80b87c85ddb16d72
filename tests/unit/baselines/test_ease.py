"""EASE against the closed form in float64, and against what it minimises."""

import numpy as np
import pytest
import scipy.sparse
from baseline_cases import dense, some_interactions

import multimargin as mm
from multimargin.baselines import ease

SHAPES = [(29, 37), (60, 37)]  # fewer users than items, and more


def plain(table, regularization):
    """Return B (I, I)."""
    inverse = np.linalg.inv(table.T @ table + regularization * np.eye(table.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def weights_of(scorer):
    return scorer.weights if isinstance(scorer.weights, np.ndarray) else scorer.weights.toarray()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("k", [None, 36, 5])
@pytest.mark.parametrize("rows", [7, 512])
def test_weights_are_those_of_the_closed_form(shape, k, rows, monkeypatch):
    monkeypatch.setattr(ease, "_ROWS", rows)
    log = some_interactions(*shape)
    found = weights_of(mm.EASE(2.0, neighbours=k).build(log, rng=None))
    expected = plain(dense(log), 2.0)
    if k is not None:
        for item in range(37):
            expected[np.argsort(-np.abs(expected[:, item]), kind="stable")[k:], item] = 0
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_no_other_weights_are_better():
    table = dense(some_interactions())
    weights = mm.EASE(2.0).build(some_interactions(), rng=None).weights.astype(np.float64)
    gradient = table.T @ (table @ weights - table) + 2.0 * weights
    np.fill_diagonal(gradient, 0)
    assert np.abs(gradient).max() < 1e-4


def test_all_weights_are_dense_few_are_not():
    log = some_interactions()
    assert isinstance(mm.EASE().build(log, rng=None).weights, np.ndarray)
    assert isinstance(mm.EASE(neighbours=99).build(log, rng=None).weights, np.ndarray)
    few = mm.EASE(neighbours=4).build(log, rng=None).weights
    assert np.diff(few.tocsc().indptr).tolist() == [4] * 37


def test_a_matrix_without_room_is_named():
    with pytest.raises(
        mm.ArgumentError, match=r"train must leave room for a matrix of 372,529\.0 GiB; got '10,000,000"
    ):
        ease._inverse(scipy.sparse.csr_array((10_000_000, 3), dtype=np.float32), 1.0)


def test_a_regularization_that_float32_cannot_tell_from_none_is_named(monkeypatch):
    def singular(matrix):
        raise np.linalg.LinAlgError

    monkeypatch.setattr(ease, "invert", singular)
    with pytest.raises(mm.ArgumentError, match="regularization must be large enough"):
        mm.EASE(1e-30).build(some_interactions(), rng=None)


@pytest.mark.parametrize("arguments", [{"regularization": 0.0}, {"neighbours": 0}])
def test_broken_arguments_are_named(arguments):
    with pytest.raises(mm.ArgumentError, match=f"{next(iter(arguments))} must be"):
        mm.EASE(**arguments)
