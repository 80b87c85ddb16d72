"""What holds for every loss in LOSSES, found by itself."""

import copy
import subprocess
import sys

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from multimargin.losses import LOSSES

NAMES = sorted(LOSSES)
SCORES = st.floats(-1.25, 1.25, width=32)
GAP = 1e-3  # least distance from a hinge at which a difference quotient is trusted


@pytest.fixture(params=NAMES)
def loss(request):
    return LOSSES[request.param]()


def random_scores(seed=0, rows=6, columns=9, dtype=torch.float64):
    """Return scores in (-1.2, 1.2), dense around the default margins."""
    generator = torch.Generator().manual_seed(seed)
    pos, neg = torch.rand(rows, generator=generator), torch.rand((rows, columns), generator=generator)
    return (pos * 2.4 - 1.2).to(dtype), (neg * 1.2).to(dtype)


def away_from_hinges(scores, hinges):
    for hinge in hinges:
        near = (scores - hinge).abs() < GAP
        scores = torch.where(near, scores + 3 * GAP, scores)
    assert all((scores - hinge).abs().min() >= GAP for hinge in hinges)
    return scores


@pytest.mark.parametrize("masked", [False, True])
def test_gradient_is_that_of_the_value(loss, masked):
    loss = loss.double()
    hinges = loss.hinges()
    pos, neg = random_scores()
    if hinges is not None:
        pos, neg = away_from_hinges(pos, [1.0]), away_from_hinges(neg, hinges.margins)
    mask = torch.rand(neg.shape, generator=torch.Generator().manual_seed(1)) < 0.5 if masked else None
    inputs = (pos.requires_grad_(), neg.requires_grad_())
    assert torch.autograd.gradcheck(lambda p, n: 3 * loss(p, n, mask=mask), inputs, eps=1e-5, atol=1e-6)


def test_gradient_at_a_hinge_is_zero(loss):
    hinges = loss.hinges()
    if hinges is None:
        pytest.skip("no sum of hinges")
    for position, margin in enumerate(hinges.margins):
        pos = torch.ones(1, dtype=torch.float64, requires_grad=True)
        neg = torch.full((1, 1), margin, dtype=torch.float64, requires_grad=True)
        loss.double()(pos, neg).backward()
        assert pos.grad.item() == 0.0
        assert neg.grad.item() == pytest.approx(sum(hinges.slopes[:position]), rel=1e-6)


def test_hinges_are_the_loss(loss):
    hinges = loss.hinges()
    if hinges is None:
        pytest.skip("no sum of hinges")
    pos, neg = random_scores()
    expected = 0.0
    for positive, row in zip(pos.tolist(), neg.tolist(), strict=True):
        expected += hinges.positive_slope * max(0.0, 1 - positive)
        for margin, slope in zip(hinges.margins, hinges.slopes, strict=True):
            expected += sum(slope * max(0.0, negative - margin) for negative in row) / len(row)
    assert loss.double()(pos, neg).item() == pytest.approx(expected / len(pos), rel=1e-7)


@pytest.mark.parametrize("name", NAMES)
@given(
    pos=hnp.arrays(np.float32, 3, elements=SCORES),
    neg=hnp.arrays(np.float32, (3, 4), elements=SCORES),
    row=st.integers(0, 2),
    column=st.integers(0, 3),
    step=st.floats(0, 1, width=32),
)
def test_better_order_never_costs_more(name, pos, neg, row, column, step):
    loss = LOSSES[name]().double()
    pos, neg = torch.from_numpy(pos).double(), torch.from_numpy(neg).double()
    before = loss(pos, neg)
    raised = pos.clone()
    raised[row] += step
    assert loss(raised, neg) <= before + 1e-12
    raised = neg.clone()
    raised[row, column] += step
    if "monotone" not in loss.breaks:
        assert loss(pos, raised) >= before - 1e-12


def test_what_is_said_not_to_be_monotone_is_not(loss):
    if "monotone" not in loss.breaks:
        return
    generator = torch.Generator().manual_seed(0)
    for _ in range(500):  # until a raised negative lowers the loss
        pos, neg = torch.rand(1, generator=generator).double(), torch.rand((1, 4), generator=generator).double() * 2 - 1
        raised = neg + torch.nn.functional.one_hot(torch.tensor([0]), 4) * torch.rand(1, generator=generator)
        if loss.double()(pos, raised) < loss.double()(pos, neg) - 1e-6:
            return
    raise AssertionError("no raised negative lowers it")


def test_negatives_permute_freely(loss):
    pos, neg = random_scores()
    order = torch.stack([torch.randperm(9, generator=torch.Generator().manual_seed(row)) for row in range(6)])
    torch.testing.assert_close(loss(pos, neg), loss(pos, neg.gather(1, order)))


def test_rows_permute_freely(loss):
    pos, neg = random_scores()
    torch.testing.assert_close(loss(pos, neg), loss(pos.flip(0), neg.flip(0)))


def test_neither_batch_nor_number_of_negatives_changes_the_scale(loss):
    pos, neg = random_scores()
    torch.testing.assert_close(loss(pos, neg), loss(torch.cat([pos, pos]), torch.cat([neg, neg])))
    torch.testing.assert_close(loss(pos, neg), loss(pos, torch.cat([neg, neg], dim=1)))


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_scores_stay_finite(loss, size):
    pos = torch.tensor([size, -size], requires_grad=True)
    neg = torch.tensor([[size, -size, 0.0], [-size, size, size]], requires_grad=True)
    value = loss(pos, neg)
    value.backward()
    for each in (value, pos.grad, neg.grad):
        assert torch.isfinite(each).all()


def test_masked_negatives_change_nothing(loss):
    pos, neg = random_scores()
    mask = torch.rand(neg.shape, generator=torch.Generator().manual_seed(5)) < 0.6
    mask[2] = False
    neg.requires_grad_()
    value = loss(pos, neg, mask=mask)
    value.backward()
    assert (neg.grad[~mask] == 0).all()
    for filler in (1e4, -1e4, 0.85):
        other = torch.where(mask, neg.detach(), torch.full_like(neg, filler))
        torch.testing.assert_close(loss(pos, other, mask=mask), value.detach())


def test_a_masked_row_is_the_row_without_those_negatives(loss):
    pos, neg = random_scores(rows=1)
    mask = torch.tensor([[True, False, True, True, False, False, True, False, True]])
    torch.testing.assert_close(loss(pos, neg, mask=mask), loss(pos, neg[mask][None, :]))
    torch.testing.assert_close(loss(pos, neg, mask=torch.ones_like(mask)), loss(pos, neg))


def test_every_input_gets_its_gradient_alone(loss):
    pos, neg = random_scores(dtype=torch.float32)
    both = torch.autograd.grad(loss(p := pos.clone().requires_grad_(), n := neg.clone().requires_grad_()), (p, n))
    (alone,) = torch.autograd.grad(loss(p := pos.clone().requires_grad_(), neg), p)
    torch.testing.assert_close(alone, both[0])
    (alone,) = torch.autograd.grad(loss(pos, n := neg.clone().requires_grad_()), n)
    torch.testing.assert_close(alone, both[1])


def test_inputs_stay_as_they_are_and_strides_do_not_matter(loss):
    pos, neg = random_scores(dtype=torch.float32)
    strided = torch.stack([neg, neg], dim=-1)[..., 0]
    assert not strided.is_contiguous()
    kept = neg.clone(), pos.clone()
    torch.testing.assert_close(loss(pos, strided), loss(pos, neg))
    assert torch.equal(neg, kept[0])
    assert torch.equal(pos, kept[1])


def test_value_is_a_float32_scalar_also_of_sixteen_bits(loss):
    pos, neg = random_scores(dtype=torch.bfloat16)
    value = loss(pos, neg)
    assert value.shape == ()
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(pos.float(), neg.float()))


def test_log_q_is_accepted(loss):
    pos, neg = random_scores()
    assert torch.isfinite(loss(pos, neg, log_q=torch.full_like(neg, -3.0)))


def test_copies_and_states_are_equal(loss):
    pos, neg = random_scores()
    twin = copy.deepcopy(loss)
    twin.load_state_dict(loss.state_dict())
    assert twin(pos, neg) == loss(pos, neg)
    assert repr(twin) == repr(loss)


def test_all_compile_without_a_break():
    # in a process of its own: the annotations checked in tests are not what a user compiles
    program = """
import torch
from multimargin.losses import LOSSES
for make in LOSSES.values():
    loss = make()
    pos, neg = torch.linspace(-1, 1, 5).requires_grad_(), torch.linspace(-1, 1, 35).reshape(5, 7).requires_grad_()
    value = torch.compile(loss, backend="aot_eager", fullgraph=True)(pos, neg)
    torch.testing.assert_close(value, loss(pos, neg))
    want = torch.autograd.grad(loss(pos, neg), (pos, neg))
    torch.testing.assert_close(torch.autograd.grad(value, (pos, neg)), want)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
