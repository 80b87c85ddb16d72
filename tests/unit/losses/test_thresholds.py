"""The score at which a user's k best items begin."""

import numpy as np
import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import Statistics, thresholds
from multimargin.losses.thresholds import TopThreshold


def make(k=3, refresh_every=2, pool_size=6, users=11, items=30):
    pairs = np.array([(u, i) for u in range(users) for i in range(items) if (u * 7 + i) % (3 + u) == 0])
    threshold = TopThreshold(k, refresh_every, pool_size)
    threshold.prepare(Statistics(users, items, pairs[:, 0], pairs[:, 1]), rng=np.random.default_rng(5))
    generator = torch.Generator().manual_seed(0)
    return threshold, pairs, torch.randn(users, 4, generator=generator), torch.randn(items, 4, generator=generator)


@pytest.mark.parametrize("block", [2, 512])
def test_equals_plain_loops(monkeypatch, block):
    monkeypatch.setattr(thresholds, "_USERS", block)
    threshold, pairs, users, items = make()
    threshold.refresh(2, users, items)
    rng = np.random.default_rng((int(threshold.seed), 2))
    pool = rng.integers(30, size=6).tolist()
    width = int(np.percentile(np.bincount(pairs[:, 0]), 90))
    assert width < np.bincount(pairs[:, 0]).max()  # some have more than are looked at
    for user in range(11):
        own = [i for u, i in pairs.tolist() if u == user][:width]
        scores = sorted((float(users[user] @ items[i]) for i in own + pool), reverse=True)
        assert threshold.values[user].item() == pytest.approx(scores[2], rel=1e-5)


def test_is_zero_until_its_first_refresh_and_rests_in_between():
    threshold, _, users, items = make(refresh_every=3)
    for epoch in (0, 1, 2):
        threshold.refresh(epoch, users, items)
        assert (threshold.values == 0).all()
    threshold.refresh(3, users, items)
    kept = threshold.values.clone()
    assert (kept != 0).all()
    threshold.refresh(4, -users, items)
    assert torch.equal(threshold.values, kept)
    threshold.refresh(6, users, items)  # another pool
    assert not torch.equal(threshold.values, kept)


def test_a_pool_smaller_than_k_is_refused():
    with pytest.raises(ArgumentError, match="pool_size must be 20 or more; got 19"):
        TopThreshold(20, 1, 19)
