"""DirectAU."""

import math

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import AlignmentUniformityLoss


def call(loss, users, items):
    return loss(torch.zeros(len(users)), torch.zeros(len(users), 0), user_vectors=users, positive_vectors=items)


def test_length_does_not_matter():
    generator = torch.Generator().manual_seed(0)
    users, items = torch.randn(5, 3, generator=generator), torch.randn(5, 3, generator=generator)
    loss = AlignmentUniformityLoss(2.0)
    torch.testing.assert_close(call(loss, users, items), call(loss, 3 * users, 0.1 * items))


def test_a_batch_of_one_is_alignment_alone():
    value = call(AlignmentUniformityLoss(), torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    assert value.item() == pytest.approx(2)


def test_opposite_points_are_as_uniform_as_two_can_be():
    users = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert call(AlignmentUniformityLoss(1.0), users, users).item() == pytest.approx(-8)


def test_spreading_is_learnt():
    users = torch.tensor([[1.0, 0.1], [1.0, -0.1]], requires_grad=True)
    call(AlignmentUniformityLoss(), users, torch.tensor([[1.0, 0.1], [1.0, -0.1]])).backward()
    assert users.grad[0, 1] < 0 < users.grad[1, 1]
    assert math.isfinite(users.grad.sum())


def test_a_broken_weight_is_named():
    with pytest.raises(ArgumentError, match="uniformity must be 0 or more"):
        AlignmentUniformityLoss(-1)
