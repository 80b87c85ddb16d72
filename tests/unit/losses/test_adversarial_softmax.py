"""AdvInfoNCE."""

import pytest
import torch
from loss_inputs import prepared, start_epoch

from multimargin.errors import ArgumentError
from multimargin.losses import AdversarialSoftmaxLoss, SampledSoftmaxLoss

USERS, DRAWN = torch.tensor([0, 3]), torch.tensor([[4, 9, 2], [7, 1, 9]])


def scores():
    return torch.tensor([0.5, 0.2]), torch.tensor([[0.4, -0.3, 0.1], [0.6, 0.3, -0.9]])


def test_without_an_adversary_it_is_the_sampled_softmax():
    loss = prepared(AdversarialSoftmaxLoss, neg_weight=3.0)
    with torch.no_grad():
        loss.item_adversary.zero_()
    value = loss(*scores(), users=USERS, negatives=DRAWN)
    torch.testing.assert_close(value, SampledSoftmaxLoss(neg_weight=3.0)(*scores()))


def test_the_adversary_climbs_in_its_epochs_and_rests_in_the_others():
    """As in its code: where (epoch + 3) is a multiple of the interval, but for epoch 0, so many times in all."""
    for every, rounds, expected in ((5, 2, [2, 7]), (2, 3, [1, 3, 5]), (1, 2, [1, 2]), (3, 9, [3, 6, 9, 12])):
        assert epochs_in_which_it_climbs(every, rounds) == expected


def epochs_in_which_it_climbs(every, rounds):
    loss = prepared(AdversarialSoftmaxLoss, adversary_every=every, adversary_rounds=rounds)
    moves = []
    for epoch in range(15):
        start_epoch(loss, epoch)
        pos, neg = (each.requires_grad_() for each in scores())
        loss.zero_grad()
        loss(pos, neg, users=USERS, negatives=DRAWN).backward()
        assert neg.grad.abs().sum() > 0
        moves.append(loss.item_adversary.grad is not None)
    return [epoch for epoch, moved in enumerate(moves) if moved]


def test_descending_on_the_loss_makes_the_weights_cost_more():
    loss = prepared(AdversarialSoftmaxLoss, adversary_every=1)
    start_epoch(loss, 1)
    optimizer, values = torch.optim.SGD(loss.parameters(), lr=1.0), []
    for _ in range(20):
        value = loss(*scores(), users=USERS, negatives=DRAWN)
        values.append(value.item())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert values[-1] > values[0] + 1e-3


def test_a_masked_negative_gets_no_weight():
    loss, mask = prepared(AdversarialSoftmaxLoss), torch.tensor([[True, False, True], [False, False, False]])
    pos, neg = scores()
    value = loss(pos, neg, users=USERS, negatives=DRAWN, mask=mask)
    alone = loss(pos[:1], neg[:1, [0, 2]], users=USERS[:1], negatives=DRAWN[:1, [0, 2]])
    assert value.item() == pytest.approx(alone.item() / 2)


def test_how_far_an_adversary_moves_is_its_rate():
    """An entry that Adam moves by the learning rate moves the adversary's vector by the rate times that."""
    slow, fast = (prepared(AdversarialSoftmaxLoss, adversary_rate=rate) for rate in (0.1, 1.0))
    torch.testing.assert_close(0.1 * slow.user_adversary, fast.user_adversary)


@pytest.mark.parametrize(
    "arguments",
    [{"temperature": 0}, {"neg_weight": 0}, {"adversary_dim": 0}, {"adversary_rate": 0}, {"adversary_every": 0}],
)
def test_a_broken_argument_is_named(arguments):
    with pytest.raises(ArgumentError, match=f"^{next(iter(arguments))} must"):
        AdversarialSoftmaxLoss(**arguments)
