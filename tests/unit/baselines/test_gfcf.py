"""GF-CF against dense matrices."""

import numpy as np
import pytest
from baseline_cases import dense, some_interactions

import multimargin as mm
from multimargin.recommend import Histories

LOG = some_interactions()


def parts(table):
    """Return the normalised matrix, and powers of the items' degrees, 0 where there are none."""
    per_user, per_item = np.maximum(table.sum(1), 1), table.sum(0)
    scaled = table * per_user[:, None] ** -0.5 * np.where(per_item > 0, np.maximum(per_item, 1) ** -0.5, 0)
    return scaled, lambda power: np.where(per_item > 0, np.maximum(per_item, 1) ** power, 0)


@pytest.mark.parametrize(("weight", "rank"), [(0.3, 4), (1.0, 20), (0.0, 4)])
def test_scores_are_those_of_dense_matrices(weight, rank):
    table = dense(LOG)
    scaled, degrees = parts(table)
    leading = np.linalg.svd(scaled)[2][:rank]
    ideal = (table * degrees(-0.5)) @ leading.T @ leading * degrees(0.5)
    scorer = mm.GFCF(low_pass=weight, rank=rank).build(LOG, rng=np.random.default_rng(0))
    expected = table @ scaled.T @ scaled + weight * ideal
    np.testing.assert_allclose(scorer.scores(Histories.of(LOG)), expected, atol=2e-3 * max(weight, 0.01))


def test_no_more_vectors_than_there_are():
    assert mm.GFCF(rank=500).build(LOG, rng=np.random.default_rng(0)).factors.left.shape == (37, 29)


@pytest.mark.parametrize("arguments", [{"low_pass": -0.1}, {"rank": 0}])
def test_broken_arguments_are_named(arguments):
    with pytest.raises(mm.ArgumentError, match=f"{next(iter(arguments))} must be"):
        mm.GFCF(**arguments)
