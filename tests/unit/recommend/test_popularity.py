"""The power of popularity in scores equals its formula, and the exponent is the best of those tried."""

import numpy as np
import pytest

from multimargin.errors import ArgumentError
from multimargin.recommend import choose_popularity, with_popularity


@pytest.fixture
def tables():
    rng = np.random.default_rng(5)
    return rng.standard_normal((4, 3)).astype(np.float32), rng.standard_normal((6, 3)).astype(np.float32)


@pytest.mark.parametrize("exponent", [0.01, 0.3])
def test_scores_are_cosines_times_a_power_of_the_count(tables, exponent):
    counts = np.array([0, 1, 5, 400, 7, 2])
    users, items, similarity = with_popularity((*tables, "cosine"), counts, exponent)
    assert similarity == "dot"
    assert users.dtype == items.dtype == np.float32
    for u, user in enumerate(tables[0].astype(float)):
        for i, item in enumerate(tables[1].astype(float)):
            cosine = (user @ item) / np.sqrt((user @ user) * (item @ item))
            assert users[u] @ items[i] == pytest.approx(cosine * (1 + counts[i]) ** exponent, rel=1e-5)


def test_zero_changes_nothing(tables):
    for similarity in ("cosine", "dot"):
        given = (*tables, similarity)
        assert with_popularity(given, np.arange(6), 0) is given


@pytest.mark.parametrize(
    ("similarity", "exponent", "message"), [("dot", 0.1, "dot products"), ("cosine", -0.1, "popularity must")]
)
def test_bad_exponents(tables, similarity, exponent, message):
    with pytest.raises(ArgumentError, match=message):
        with_popularity((*tables, similarity), np.arange(6), exponent)


def test_the_best_is_chosen_and_of_equals_the_smallest():
    assert choose_popularity(lambda each: -abs(each - 0.02)) == (0.02, 0.0)
    assert choose_popularity(lambda each: min(each, 0.02), (0.0, 0.01, 0.02, 0.03)) == (0.02, 0.02)
    assert choose_popularity(lambda each: 1.0) == (0.0, 1.0)
