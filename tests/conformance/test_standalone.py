"""Every loss in a plain PyTorch loop: scores from anywhere, under autocast, and on another device."""

import pytest
import torch
from loss_inputs import extras_for, prepared, start_epoch, value
from pretend_device import DEVICE, PretendDevice

from multimargin.losses import LOSSES

NAMES = sorted(LOSSES)
B, N = 6, 5


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_loop_under_autocast_moves_a_model(name):
    torch.manual_seed(0)
    loss, model = prepared(LOSSES[name]).float(), torch.nn.Linear(8, 3)
    users, items = torch.randn(B, 8), torch.randn(B, 1 + N, 8)
    optimizer = torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=1e-3)
    before = model.weight.detach().clone()
    for step in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            queries, vectors = model(users), model(items)
            scores = torch.einsum("bd,bnd->bn", queries, vectors)
            extras = extras_for(loss, B, N, seed=step, dtype=torch.bfloat16)
            given = {"user_vectors": queries, "positive_vectors": vectors[:, 0], "negative_vectors": vectors[:, 1:]}
            extras |= {key: each for key, each in given.items() if key in loss.needs}
            found = loss(scores[:, 0], scores[:, 1:], **extras)
        assert found.dtype == torch.float32
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
    assert torch.isfinite(model.weight).all()
    assert (model.weight != before).any()


@pytest.mark.parametrize("name", NAMES)
def test_on_another_device_it_is_the_same(name):
    loss = prepared(LOSSES[name]).float()
    start_epoch(loss, 1)
    pos, neg = torch.linspace(-1, 1, B), torch.linspace(-1, 1, B * N).reshape(B, N)
    mask = torch.arange(B * N).reshape(B, N) % 4 > 0
    given = {"pos_scores": pos, "neg_scores": neg, "mask": mask, **extras_for(loss, B, N, dtype=torch.float32)}
    expected = value(loss, given.pop("pos_scores"), given.pop("neg_scores"), **given)
    with PretendDevice(), torch.no_grad():
        there = loss.to(DEVICE)
        moved = {key: each.to(DEVICE) for key, each in given.items()}
        found = there(pos.to(DEVICE), neg.to(DEVICE), **moved)
        assert found.device.type == DEVICE.type
        result = found.tolist()
    assert result == pytest.approx(expected.item(), rel=1e-5)
