"""Who has seen what, looked up in a table or searched for, against plain sets."""

import numpy as np
import pytest

from multimargin.negatives import seen


@pytest.mark.parametrize("most", [0, 1 << 22])
def test_either_way_finds_what_sets_hold(small, most, monkeypatch):
    monkeypatch.setattr(seen, "_TABLE", most)
    rng = np.random.default_rng(1)
    users, index = rng.integers(0, small.n_users, 50), rng.integers(0, small.n_items, (50, 30))
    found = seen.has_seen(users, index, small)
    for user, row, hits in zip(users.tolist(), index.tolist(), found.tolist(), strict=True):
        assert hits == [item in set(small.items_of(user).tolist()) for item in row]
    assert found.any()
    assert not found.all()
