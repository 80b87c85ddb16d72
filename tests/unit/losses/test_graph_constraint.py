"""UltraGCN's constraint loss."""

import numpy as np
import pytest
import torch
from loss_inputs import PAIRS, STATISTICS, extras_for, prepared

from multimargin.errors import ArgumentError
from multimargin.losses import GraphConstraintLoss


def test_constant_weights_and_no_neighbours_are_cross_entropy():
    loss = prepared(GraphConstraintLoss, weights=(1, 0, 1, 0), neg_weight=3.0, neighbour_weight=0.0)
    pos, neg = torch.tensor([0.5, -0.3]), torch.tensor([[0.4, -0.3, 0.1], [0.6, 0.3, -0.9]])
    value = loss(pos, neg, **extras_for(loss, 2, 3, dtype=torch.float32))
    labels = torch.eye(4)[:1].expand(2, 4)
    logits = torch.cat((pos[:, None], neg), dim=1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / 2
    torch.testing.assert_close(value, expected)


def test_rare_items_of_quiet_users_weigh_most():
    loss = prepared(GraphConstraintLoss)
    users, items = STATISTICS.user_counts, STATISTICS.item_counts
    for u, i in PAIRS[:10]:
        expected = np.sqrt(users[u] + 1) / users[u] / np.sqrt(items[i] + 1)
        assert (loss.user_factor[u] * loss.item_factor[i]).item() == pytest.approx(expected, rel=1e-6)


def test_the_companions_of_an_item_are_its_neighbours():
    loss = prepared(GraphConstraintLoss, n_neighbours=3)
    near = loss.companions(torch.tensor([4, 0]))
    assert near.shape == (2, 3)
    assert torch.equal(near, loss.neighbours[[4, 0]])
    used = loss.likeness[4] > 0
    assert 4 in near[0][used]  # itself, as in the published code


def test_neighbours_are_pulled():
    loss = prepared(GraphConstraintLoss, neighbour_weight=2.0)
    extras = extras_for(loss, 2, 3, dtype=torch.float32)
    extras["companion_scores"].requires_grad_()
    loss(torch.zeros(2), torch.zeros(2, 3), **extras).backward()
    likeness = loss.likeness[extras["positives"]]
    gradient = extras["companion_scores"].grad
    assert (gradient[likeness > 0] < 0).all()
    assert (gradient[likeness == 0] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": (1, 1, 1)}, "weights must be four numbers"),
        ({"weights": (1, 1, 1, -1)}, "weights must be four numbers of 0 or more"),
        ({"neg_weight": -1}, "neg_weight must be 0 or more"),
        ({"neighbour_weight": -1}, "neighbour_weight must be 0 or more"),
        ({"n_neighbours": 0}, "n_neighbours must be 1 or more"),
    ],
)
def test_a_broken_argument_is_named(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        GraphConstraintLoss(**arguments)
