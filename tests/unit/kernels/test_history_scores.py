"""Scores from histories: compiled equals the definition to the last bit."""

import numpy as np
import pytest
import scipy.sparse
from baseline_cases import rows_of

from multimargin.errors import ArgumentError
from multimargin.kernels.history_scores import history_scores

RNG = np.random.default_rng(0)
HISTORIES = RNG.random((13, 31)) < 0.3
HISTORIES[4] = False
WEIGHTS = np.where(RNG.random((31, 17)) < 0.4, RNG.standard_normal((31, 17)), 0).astype(np.float32)
BIAS = RNG.standard_normal(17).astype(np.float32)


@pytest.mark.parametrize("weights", [WEIGHTS, scipy.sparse.csr_array(WEIGHTS)], ids=["dense", "sparse"])
def test_compiled_equals_reference(weights):
    found = history_scores(*rows_of(HISTORIES), weights, BIAS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, history_scores(*rows_of(HISTORIES), weights, BIAS, impl="reference"))
    np.testing.assert_allclose(found, HISTORIES @ WEIGHTS.astype(np.float64) + BIAS, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[4], BIAS)


def test_a_row_does_not_depend_on_the_others():
    whole = history_scores(*rows_of(HISTORIES), WEIGHTS, BIAS)
    for row in range(len(HISTORIES)):
        alone = history_scores(*rows_of(HISTORIES[row : row + 1]), WEIGHTS, BIAS)
        np.testing.assert_array_equal(alone[0], whole[row])


def test_sums_are_those_of_float64():
    weights = np.array([[1e8], [1], [-1e8]], dtype=np.float32)
    assert history_scores(*rows_of(np.ones((1, 3))), weights, np.zeros(1, np.float32)).tolist() == [[1.0]]


def test_unknown_impl():
    with pytest.raises(ArgumentError, match="impl must be one of auto, cpu, reference; got 'gpu'"):
        history_scores(*rows_of(HISTORIES), WEIGHTS, BIAS, impl="gpu")
