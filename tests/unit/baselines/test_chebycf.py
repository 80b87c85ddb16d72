"""ChebyCF against dense matrices, and its polynomial against the official recurrence written out."""

import math

import numpy as np
import pytest
from baseline_cases import dense, some_interactions
from numpy.polynomial import chebyshev

import multimargin as mm
from multimargin.baselines.chebycf import coefficients
from multimargin.recommend import Histories

LOG = some_interactions()


def by_recurrence(order, flatness):
    """Return c as the official code sums it: the target's polynomials at the nodes, one after the other."""
    nodes = [math.cos((order + 1 + 0.5 - k) / (order + 1) * math.pi) for k in range(1, order + 2)]
    target = []
    for k in range(order + 1):
        z = math.cos((order - k) / order * math.pi)
        z = 0.0 if abs(z) < 1e-9 else z
        target.append(0.5 + 0.5 * (-z) ** flatness if z < 0 else 0.5 - 0.5 * z**flatness)
    bases = [target, [node * value for node, value in zip(nodes, target, strict=True)]]
    while len(bases) <= order:
        bases.append([2 * x * a - b for x, a, b in zip(nodes, bases[-1], bases[-2], strict=True)])
    sums = [sum(base) * 2 / (order + 1) for base in bases[: order + 1]]
    return [sums[0] / 2, *sums[1:]]


@pytest.mark.parametrize(("order", "flatness"), [(1, 1.0), (2, 1.5), (8, 1.5), (9, 15.0)])
def test_coefficients_are_the_official_ones(order, flatness):
    np.testing.assert_allclose(coefficients(order, flatness), by_recurrence(order, flatness), atol=1e-6)


def test_the_response_falls_from_1_to_0_with_a_plateau():
    found = chebyshev.chebval(np.array([-1.0, 0.0, 1.0]), coefficients(40, 3.0))
    np.testing.assert_allclose(found, [1, 0.5, 0], atol=0.03)


@pytest.mark.parametrize(
    "settings",
    [
        {"order": 1, "flatness": 1.0, "rank": 3, "low_pass": 0.0, "power": 0.0},
        {"order": 8, "flatness": 1.5, "rank": 6, "low_pass": 0.2, "power": 0.4},
        {"order": 5, "flatness": 4.0, "rank": 20, "low_pass": 1.0, "power": 0.5},
    ],
)
def test_scores_are_those_of_dense_matrices(settings):
    table = dense(LOG)
    per_user, per_item = np.maximum(table.sum(1), 1), table.sum(0)
    alive = per_item > 0
    scaled = table * per_user[:, None] ** -0.5 * np.where(alive, np.maximum(per_item, 1) ** -0.5, 0)
    values, vectors = np.linalg.eigh(np.eye(37) - 2 * scaled.T @ scaled)
    response = chebyshev.chebval(values, by_recurrence(settings["order"], settings["flatness"]))
    leading = np.linalg.svd(scaled)[2][: settings["rank"]]
    degrees = np.where(alive, np.maximum(per_item, 1), 0)
    before, after = (
        np.where(alive, np.maximum(degrees, 1) ** sign, 0) for sign in (-settings["power"], settings["power"])
    )
    filtered = (vectors * response) @ vectors.T + settings["low_pass"] * leading.T @ leading
    scorer = mm.ChebyCF(**settings).build(LOG, rng=np.random.default_rng(0))
    np.testing.assert_allclose(scorer.scores(Histories.of(LOG)), table * before @ filtered * after, atol=2e-3)


@pytest.mark.parametrize("name", ["order", "flatness", "rank", "low_pass", "power"])
def test_broken_arguments_are_named(name):
    with pytest.raises(mm.ArgumentError, match=f"{name} must be"):
        mm.ChebyCF(**{name: -1})
