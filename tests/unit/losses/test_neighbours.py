"""Items that share users."""

import math

import numpy as np
import pytest

from multimargin.losses import Statistics, neighbours
from multimargin.losses.neighbours import item_neighbours


@pytest.mark.parametrize("block", [3, 1024])
def test_equals_plain_loops(monkeypatch, block):
    monkeypatch.setattr(neighbours, "_ITEMS", block)
    rng = np.random.default_rng(0)
    touched = rng.random((9, 14)) < 0.3
    touched[:, 13] = False  # nobody's
    users, items = np.nonzero(touched)
    near, likeness = item_neighbours(Statistics(9, 14, users, items), 4)
    common = touched.T.astype(int) @ touched.astype(int)
    sums = common.sum(axis=1)
    for i in range(14):
        every = [
            (-common[i, k] * math.sqrt(sums[i] + 1) / sums[i] / math.sqrt(sums[k] + 1), k)
            for k in range(14)
            if common[i, k]
        ]
        expected = sorted(every)[:4]
        count = len(expected)
        assert likeness[i, :count] == pytest.approx([-value for value, _ in expected])
        assert (likeness[i, count:] == 0).all()
        values = [round(value, 12) for value, _ in every]
        if len(values) == len(set(values)):  # no ties that rounding could turn
            assert near[i, :count].tolist() == [k for _, k in expected]
