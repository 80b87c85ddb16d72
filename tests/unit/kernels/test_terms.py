"""Costs and slopes of pairs, as kernels compute them, against float64."""

import numba
import numpy as np
import pytest

from multimargin.kernels.terms import (
    hinge_term,
    negative_terms,
    of_hinges,
    of_logistic,
    of_squares,
    positive_term,
    tile_terms,
)

SCORES = np.concatenate(
    [np.linspace(-1.25, 1.25, 1000), np.linspace(-200, 200, 1000), [0.0, 1.0, 0.5, -1e4, 1e4, 1e-8, -1e-8, 0.125]]
).astype(np.float32)
TERMS = {
    "hinges": of_hinges(0.7, (-0.5, 0.125, 0.5), (0.2, 3.0, 0.5)),
    "squares": of_squares(0.7, 3.0),
    "logistic": of_logistic(0.7, 3.0, 1.0),
    "steep": of_logistic(1.0, 0.5, 0.1),
}


@numba.njit
def _positives(terms, scores, costs, slopes):
    for k in range(len(scores)):
        costs[k], slopes[k] = positive_term(terms, scores[k])


@numba.njit
def _tiles(terms, scores, costs, slopes):
    for k in range(len(scores)):
        tile_terms(terms, scores[k], 8, costs[k], slopes[k])


@numba.njit
def _negatives(terms, scores, costs, slopes):
    negative_terms(terms, scores, len(scores) - 3, costs, slopes)


@numba.njit
def _hinges(terms, scores, costs, slopes):
    for k in range(len(scores)):
        costs[k], slopes[k] = hinge_term(terms, scores[k])


def softplus(x):
    return np.logaddexp(0, x), np.exp(-np.logaddexp(0, -x))


def expected_positive(name, s):
    terms = TERMS[name]
    weight, scale = float(terms.pos_weight), float(terms.scale)
    if name == "hinges":
        return weight * np.maximum(1 - s, 0), -weight * (s < 1)
    if name == "squares":
        return weight * (s - 1) ** 2 / 2, weight * (s - 1)
    cost, slope = softplus(-s * scale)
    return weight * cost, -weight * scale * slope


def expected_negative(name, s):
    terms = TERMS[name]
    weight, scale = float(terms.neg_weight), float(terms.scale)
    if name == "hinges":
        hinges = list(zip(terms.margins.astype(float), terms.slopes.astype(float), strict=True))
        return sum(a * np.maximum(s - m, 0) for m, a in hinges), sum(a * (s > m) for m, a in hinges)
    if name == "squares":
        return weight * s**2 / 2, weight * s
    cost, slope = softplus(s * scale)
    return weight * cost, weight * scale * slope


def assert_close(found, expected):
    for each, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(each, wanted, rtol=2e-6, atol=1e-30)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_positives(name):
    found = np.empty((2, len(SCORES)), np.float32)
    _positives(TERMS[name], SCORES, *found)
    assert_close(found, expected_positive(name, SCORES.astype(float)))


@pytest.mark.parametrize("name", sorted(TERMS))
def test_negatives_of_a_tile(name):
    tiles = np.resize(SCORES, (-(-len(SCORES) // 128), 8, 16))
    found = np.empty((2, *tiles.shape), np.float32)
    _tiles(TERMS[name], tiles, *found)
    assert_close(found, expected_negative(name, tiles.astype(float)))


@pytest.mark.parametrize("name", sorted(TERMS))
def test_negatives_of_a_list(name):
    found = np.full((2, len(SCORES)), 7, np.float32)
    _negatives(TERMS[name], SCORES, *found)
    assert (found[:, -3:] == 7).all()
    assert_close(found[:, :-3], [each[:-3] for each in expected_negative(name, SCORES.astype(float))])


def test_hinges_one_by_one():
    found = np.empty((2, len(SCORES)), np.float32)
    _hinges(TERMS["hinges"], SCORES, *found)
    assert_close(found, expected_negative("hinges", SCORES.astype(float)))


@pytest.mark.parametrize("name", sorted(TERMS))
def test_a_positive_that_is_no_number_shows(name):
    found = np.empty((2, 1), np.float32)
    _positives(TERMS[name], np.array([np.nan], np.float32), *found)
    assert np.isnan(found[0, 0])


def test_gradients_are_exactly_zero_at_a_hinge():
    found = np.empty((2, 1), np.float32)
    _positives(TERMS["hinges"], np.ones(1, np.float32), *found)
    assert found[1, 0] == 0
    tile = np.full((1, 8, 16), 0.125, np.float32)
    costs, slopes = np.empty_like(tile), np.empty_like(tile)
    _tiles(TERMS["hinges"], tile, costs, slopes)
    assert (slopes == np.float32(0.2)).all()  # of the first margin only
