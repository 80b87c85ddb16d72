"""What holds for every loss in LOSSES, found by itself."""

import copy
import math
import subprocess
import sys
from pathlib import Path

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from loss_inputs import STATISTICS, extras_for, prepared, start_epoch, value, with_columns, with_rows

from multimargin.errors import ArgumentError
from multimargin.losses import LOSSES
from multimargin.losses.base import LAWS, NEEDS, Loss
from multimargin.losses.facts import Hinges, Logistic, Squares

NAMES = sorted(LOSSES)
SCORES = st.floats(-1.25, 1.25, width=32)
GAP = 1e-3  # least distance from a hinge at which a difference quotient is trusted


@pytest.fixture(params=NAMES)
def loss(request):
    return prepared(LOSSES[request.param])


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


def gradient_fits(loss, *, masked=False, raises=False):
    """Return whether the gradients are those of the value, by difference quotients."""
    terms = loss.terms()
    pos, neg = random_scores()
    if isinstance(terms, Hinges):
        pos, neg = away_from_hinges(pos, [1.0]), away_from_hinges(neg, terms.margins)
    mask = torch.rand(neg.shape, generator=torch.Generator().manual_seed(1)) < 0.5 if masked else None
    extras = extras_for(loss, *neg.shape)
    moving = [name for name, each in extras.items() if each.is_floating_point() and name != "log_q"]
    inputs = [each.requires_grad_() for each in (pos, neg, *(extras[name] for name in moving))]

    def of(pos, neg, *moved):
        return 3 * value(loss, pos, neg, mask=mask, **(extras | dict(zip(moving, moved, strict=True))))

    return torch.autograd.gradcheck(of, inputs, eps=1e-5, atol=1e-6, raise_exception=raises)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", [name for name in NAMES if "gradient" not in LOSSES[name].breaks])
def test_gradient_is_that_of_the_value(name, masked):
    assert gradient_fits(prepared(LOSSES[name]).double(), masked=masked, raises=True)


def test_gradient_at_a_hinge_is_zero(loss):
    hinges = loss.terms()
    if not isinstance(hinges, Hinges):
        pytest.skip("no sum of hinges")
    for position, margin in enumerate(hinges.margins):
        pos = torch.ones(1, dtype=torch.float64, requires_grad=True)
        neg = torch.full((1, 1), margin, dtype=torch.float64, requires_grad=True)
        loss.double()(pos, neg).backward()
        assert pos.grad.item() == 0.0
        assert neg.grad.item() == pytest.approx(sum(hinges.slopes[:position]), rel=1e-6)


def of_pairs(terms):
    """Return what a positive and what a negative costs, as functions of its score."""
    if isinstance(terms, Squares):
        return lambda s: terms.pos_weight * (s - 1) ** 2 / 2, lambda s: terms.neg_weight * s**2 / 2
    if isinstance(terms, Logistic):
        return (
            lambda s: terms.pos_weight * math.log1p(math.exp(-s / terms.temperature)),
            lambda s: terms.neg_weight * math.log1p(math.exp(s / terms.temperature)),
        )
    hinges = list(zip(terms.margins, terms.slopes, strict=True))
    return (
        lambda s: terms.positive_slope * max(0.0, 1 - s),
        lambda s: sum(slope * max(0.0, s - margin) for margin, slope in hinges),
    )


def test_terms_are_the_loss(loss):
    terms = loss.terms()
    if terms is None:
        pytest.skip("no sum over pairs")
    pos, neg = random_scores()
    cost_of_positive, cost_of_negative = of_pairs(terms)
    expected = 0.0
    for positive, row in zip(pos.tolist(), neg.tolist(), strict=True):
        expected += cost_of_positive(positive) + sum(map(cost_of_negative, row)) / len(row)
    assert loss.double()(pos, neg).item() == pytest.approx(expected / len(pos), rel=1e-7)


def order_costs(loss, pos, neg, row, column, step):
    """Return how much more a positive and a negative cost once they are raised by ``step``."""
    extras = extras_for(loss, *neg.shape, seed=row)
    before = value(loss, pos, neg, **extras)
    higher_pos, higher_neg = pos.clone(), neg.clone()
    higher_pos[row] += step
    higher_neg[row, column] += step
    return [(value(loss, *each, **extras) - before).item() for each in ((higher_pos, neg), (pos, higher_neg))]


@pytest.mark.parametrize("name", [name for name in NAMES if "monotone" not in LOSSES[name].breaks])
@given(
    pos=hnp.arrays(np.float32, 3, elements=SCORES),
    neg=hnp.arrays(np.float32, (3, 4), elements=SCORES),
    row=st.integers(0, 2),
    column=st.integers(0, 3),
    step=st.floats(0, 1, width=32),
)
def test_better_order_never_costs_more(name, pos, neg, row, column, step):
    loss = prepared(LOSSES[name]).double()
    positive, negative = order_costs(
        loss, torch.from_numpy(pos).double(), torch.from_numpy(neg).double(), row, column, step
    )
    assert positive <= 1e-12
    assert negative >= -1e-12


def test_negatives_permute_freely(loss):
    pos, neg = random_scores()
    order = torch.stack([torch.randperm(9, generator=torch.Generator().manual_seed(row)) for row in range(6)])
    rows, extras = torch.arange(6)[:, None], extras_for(loss, 6, 9)
    turned = with_columns(extras, lambda each: each[rows, order])
    torch.testing.assert_close(value(loss, pos, neg, **extras), value(loss, pos, neg[rows, order], **turned))


def test_rows_permute_freely(loss):
    pos, neg = random_scores()
    extras = extras_for(loss, *neg.shape)
    turned = with_rows(extras, lambda each: each.flip(0))
    torch.testing.assert_close(value(loss, pos, neg, **extras), value(loss, pos.flip(0), neg.flip(0), **turned))


def doubled_batch(loss, seed):
    """Return the loss of a batch, and of the batch twice over."""
    pos, neg = random_scores(seed)
    extras = extras_for(loss, *neg.shape, seed=seed)
    twice = with_rows(extras, lambda each: torch.cat([each, each]))
    return value(loss, pos, neg, **extras), value(loss, torch.cat([pos, pos]), torch.cat([neg, neg]), **twice)


def doubled_negatives(loss, seed):
    """Return the loss of a batch, and with each row's negatives twice over."""
    pos, neg = random_scores(seed)
    extras = extras_for(loss, *neg.shape, seed=seed)
    twice = with_columns(extras, lambda each: torch.cat([each, each], dim=1))
    return value(loss, pos, neg, **extras), value(loss, pos, torch.cat([neg, neg], dim=1), **twice)


@pytest.mark.parametrize("name", [name for name in NAMES if "batch" not in LOSSES[name].breaks])
def test_the_size_of_the_batch_does_not_change_the_scale(name):
    torch.testing.assert_close(*doubled_batch(prepared(LOSSES[name]), 0))


@pytest.mark.parametrize("name", [name for name in NAMES if "negatives" not in LOSSES[name].breaks])
def test_the_number_of_negatives_does_not_change_the_scale(name):
    torch.testing.assert_close(*doubled_negatives(prepared(LOSSES[name]), 0))


@pytest.mark.parametrize("name", [name for name in NAMES if LOSSES[name].breaks])
def test_a_law_that_is_said_not_to_hold_does_not_hold(name):
    loss = prepared(LOSSES[name]).double()
    assert loss.breaks <= LAWS
    for law, pairs in (("batch", doubled_batch), ("negatives", doubled_negatives)):
        if law in loss.breaks:
            assert any(not torch.isclose(*pairs(loss, seed), rtol=1e-4) for seed in range(20))
    if "gradient" in loss.breaks:
        assert not gradient_fits(loss)
    if "monotone" in loss.breaks:
        costs = (
            order_costs(loss, pos + shift, neg - shift, row, seed % 9, 0.3)  # shifted: positives far ahead, or behind
            for seed in range(40)
            for pos, neg in [random_scores(seed)]
            for shift in (0.0, 1.0, -1.0)
            for row in range(6)
        )
        assert any(positive > 1e-6 or negative < -1e-6 for positive, negative in costs)


def test_needs_are_known(loss):
    assert loss.needs <= NEEDS


def test_what_is_needed_and_not_handed_over_is_named(loss):
    pos, neg = random_scores()
    extras = extras_for(loss, *neg.shape)
    for name in extras.keys() - {"log_q"}:  # of a uniform law there is none
        with pytest.raises(ArgumentError, match=f"{name} must be handed to a loss that needs it"):
            value(loss, pos, neg, **{key: each for key, each in extras.items() if key != name})


@pytest.mark.parametrize("name", [name for name in NAMES if LOSSES[name].prepare is not Loss.prepare])
def test_one_that_counts_says_that_it_must_be_prepared(name):
    pos, neg = random_scores(dtype=torch.float32)
    extras = extras_for(prepared(LOSSES[name]), *neg.shape, dtype=torch.float32)
    with pytest.raises(ArgumentError, match="must be prepared before use"):
        LOSSES[name]()(pos, neg, **extras)


def test_what_it_remembers_is_in_its_state(loss):
    loss = loss.float()
    for epoch in range(1, 4):
        start_epoch(loss, epoch)
        for seed in range(3):
            pos, neg = random_scores(seed, dtype=torch.float32)
            loss(pos, neg, **extras_for(loss, *neg.shape, seed=seed, dtype=torch.float32))
    twin = type(loss)()
    twin.prepare(STATISTICS, rng=np.random.default_rng(4))
    twin.load_state_dict(copy.deepcopy(loss.state_dict()))
    for each in (loss, twin):
        start_epoch(each, 4)
    pos, neg = random_scores(9, dtype=torch.float32)
    extras = extras_for(loss, *neg.shape, dtype=torch.float32)
    assert value(twin, pos, neg, **extras) == value(loss, pos, neg, **extras)


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_scores_stay_finite(loss, size):
    pos = torch.tensor([size, -size], requires_grad=True)
    neg = torch.tensor([[size, -size, 0.0], [-size, size, size]], requires_grad=True)
    found = value(loss, pos, neg, **extras_for(loss, 2, 3, dtype=torch.float32))
    gradients = torch.autograd.grad(found, (pos, neg), allow_unused=True) if found.requires_grad else ()
    for each in (found, *gradients):
        assert each is None or torch.isfinite(each).all()


def test_masked_negatives_change_nothing(loss):
    pos, neg = random_scores()
    mask = torch.rand(neg.shape, generator=torch.Generator().manual_seed(5)) < 0.6
    mask[2] = False
    extras = extras_for(loss, *neg.shape)
    neg.requires_grad_()
    found = value(loss, pos, neg, mask=mask, **extras)
    if found.requires_grad:
        (gradient,) = torch.autograd.grad(found, neg, allow_unused=True)
        assert gradient is None or (gradient[~mask] == 0).all()
    for filler in (1e4, -1e4, 0.85):
        other = torch.where(mask, neg.detach(), torch.full_like(neg, filler))
        others = with_columns(
            extras, lambda each: torch.where(mask.view(*mask.shape, *[1] * (each.dim() - 2)), each, 0)
        )
        torch.testing.assert_close(value(loss, pos, other, mask=mask, **others), found.detach())


def test_a_masked_row_is_the_row_without_those_negatives(loss):
    pos, neg = random_scores(rows=1)
    extras = extras_for(loss, *neg.shape)
    mask = torch.tensor([[True, False, True, True, False, False, True, False, True]])
    fewer = with_columns(extras, lambda each: each[mask][None])
    found = value(loss, pos, neg, mask=mask, **extras)
    torch.testing.assert_close(found, value(loss, pos, neg[mask][None], **fewer))
    everything = value(loss, pos, neg, mask=torch.ones_like(mask), **extras)
    torch.testing.assert_close(everything, value(loss, pos, neg, **extras))


def test_every_input_gets_its_gradient_alone(loss):
    pos, neg = random_scores(dtype=torch.float32)
    extras = extras_for(loss, *neg.shape, dtype=torch.float32)
    moving = {"pos": pos, "neg": neg}
    moving |= {name: each for name, each in extras.items() if each.is_floating_point() and name != "log_q"}

    def gradients(*names):
        given = {key: each.clone().requires_grad_(key in names) for key, each in moving.items()}
        rest = {key: each for key, each in (extras | given).items() if key not in {"pos", "neg"}}
        found = value(loss, given["pos"], given["neg"], **rest)
        return torch.autograd.grad(found, [given[key] for key in names], allow_unused=True)

    together = dict(zip(moving, gradients(*moving), strict=True))
    assert any(each is not None for each in together.values())
    for key, expected in together.items():
        if expected is not None:
            torch.testing.assert_close(gradients(key)[0], expected)


def test_inputs_stay_as_they_are_and_strides_do_not_matter(loss):
    pos, neg = random_scores(dtype=torch.float32)
    extras = extras_for(loss, *neg.shape, dtype=torch.float32)
    strided = torch.stack([neg, neg], dim=-1)[..., 0]
    assert not strided.is_contiguous()
    kept = {name: each.clone() for name, each in {"neg": neg, "pos": pos, **extras}.items()}
    torch.testing.assert_close(value(loss, pos, strided, **extras), value(loss, pos, neg, **extras))
    for name, each in {"neg": neg, "pos": pos, **extras}.items():
        assert torch.equal(each, kept[name])


def test_value_is_a_float32_scalar_also_of_sixteen_bits(loss):
    pos, neg = random_scores(dtype=torch.bfloat16)
    extras = extras_for(loss, *neg.shape, dtype=torch.bfloat16)
    found = value(loss, pos, neg, **extras)
    assert found.shape == ()
    assert found.dtype == torch.float32
    longer = {name: each.float() if each.is_floating_point() else each for name, each in extras.items()}
    torch.testing.assert_close(found, value(loss, pos.float(), neg.float(), **longer))


def test_log_q_is_accepted(loss):
    pos, neg = random_scores()
    extras = extras_for(loss, *neg.shape) | {"log_q": torch.full_like(neg, -3.0)}
    assert torch.isfinite(value(loss, pos, neg, **extras))


def test_copies_and_states_are_equal(loss):
    pos, neg = random_scores()
    extras = extras_for(loss, *neg.shape)
    twin = copy.deepcopy(loss)
    twin.load_state_dict(loss.state_dict())
    assert value(twin, pos, neg, **extras) == value(loss, pos, neg, **extras)
    assert repr(twin) == repr(loss)


def test_all_compile_without_a_break():
    # in a process of its own: the annotations checked in tests are not what a user compiles
    program = """
import copy
import sys
import torch
from multimargin.losses import LOSSES
sys.path.insert(0, sys.argv[1])
from loss_inputs import extras_for, prepared
for make in LOSSES.values():
    loss = prepared(make).float()
    twin = copy.deepcopy(loss)
    pos, neg = torch.linspace(-1, 1, 5), torch.linspace(-1, 1, 35).reshape(5, 7)
    given = {"pos_scores": pos, "neg_scores": neg, **extras_for(loss, 5, 7, dtype=torch.float32)}
    moving = [each.requires_grad_() for each in given.values() if each.is_floating_point()]
    value = torch.compile(loss, backend="aot_eager", fullgraph=True)(**given)
    expected = twin(**given)
    torch.testing.assert_close(value, expected)
    found = torch.autograd.grad(value, moving, allow_unused=True)
    for one, other in zip(found, torch.autograd.grad(expected, moving, allow_unused=True), strict=True):
        torch.testing.assert_close(one if one is not None else torch.zeros(()),
                                   other if other is not None else torch.zeros(()), check_device=False)
"""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", program, tests], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
