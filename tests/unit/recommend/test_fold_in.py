"""A new user lands in the middle of their items."""

import numpy as np
import pytest

from multimargin.errors import ArgumentError
from multimargin.recommend.fold_in import fold_in

TABLE = np.array([[3.0, 0.0], [0.0, 0.5], [1.0, 1.0]], dtype=np.float32)


def test_mean_of_directions_or_of_vectors():
    np.testing.assert_allclose(fold_in(np.array([0, 1]), TABLE, similarity="cosine"), [0.5, 0.5])
    np.testing.assert_allclose(fold_in(np.array([0, 1]), TABLE, similarity="dot"), [1.5, 0.25])


def test_no_direction_is_nearer_on_the_whole():
    rng = np.random.default_rng(0)
    table = rng.standard_normal((9, 5)).astype(np.float32)
    directions = table / np.linalg.norm(table, axis=1, keepdims=True)

    def nearness(vector):
        return float((directions[:4] @ vector).sum() / np.linalg.norm(vector))

    best = nearness(fold_in(np.arange(4), table, similarity="cosine"))
    assert all(nearness(other) <= best + 1e-6 for other in rng.standard_normal((200, 5)))


def test_an_empty_history_is_refused():
    with pytest.raises(ArgumentError, match="history must hold at least one item"):
        fold_in(np.array([], dtype=np.int64), TABLE, similarity="dot")
