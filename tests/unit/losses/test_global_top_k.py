"""SogSL@K."""

import torch
from loss_inputs import prepared

from multimargin.losses import GlobalContrastiveLoss, GlobalTopKLoss


def test_equal_weights_leave_sogclr():
    users = torch.tensor([0, 1, 2])
    pos, neg = torch.full((3,), 0.4), torch.rand((3, 4), generator=torch.Generator().manual_seed(0))
    plain, weighed = prepared(GlobalContrastiveLoss), prepared(GlobalTopKLoss)
    for scores in (neg, neg + 0.2):
        torch.testing.assert_close(weighed(pos, scores, users=users), plain(pos, scores, users=users))


def test_weights_average_to_one_and_follow_the_thresholds():
    loss = prepared(GlobalTopKLoss, temperature=0.5, weight_temperature=0.2)
    loss.threshold.values[:3] = torch.tensor([0.0, 0.5, 0.9])
    pos = torch.tensor([0.5, 0.2, 0.7], requires_grad=True)  # equal ones would hide a gradient of the weights
    loss(pos, torch.zeros(3, 2), users=torch.tensor([0, 1, 2])).backward()
    pull = -pos.grad * 3 * 0.5  # the weights, which have no gradient of their own
    sigmoid = torch.sigmoid(torch.tensor([0.5, -0.3, -0.2]) / 0.2)
    torch.testing.assert_close(pull, sigmoid / sigmoid.mean())


def test_weights_that_are_nothing_in_their_dtype_still_average_to_one():
    loss = prepared(GlobalTopKLoss, weight_temperature=1e-3)
    pos = torch.full((2,), -1.0, requires_grad=True)
    loss(pos, torch.zeros(2, 2), users=torch.tensor([0, 1])).backward()
    torch.testing.assert_close(pos.grad, torch.full((2,), -5.0))  # 1 / (2 temperature)
