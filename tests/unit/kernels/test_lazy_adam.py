"""The drift of idle rows: the running sums against plain ones, and both implementations against each other."""

import math

import numpy as np
import pytest
import torch

from multimargin.kernels.lazy_adam import NEVER, RowState, Schedule, cpu, implementation, reference

BETAS = [(0.9, 0.999), (0.8, 0.99), (0.0, 0.999), (0.9, 0.82)]


def plain_drift(last, now, rates, betas):
    """Sum lr_s r^j f(s) over the idle steps s = last + 1 .. now; ``rates[s - 1]`` is the learning rate of step s."""
    beta1, beta2 = betas
    return sum(
        rates[s - 1]
        * (beta1 / math.sqrt(beta2)) ** (s - last)
        * math.sqrt(1 - beta2**s)
        / (1 - beta1**s)
        for s in range(last + 1, now + 1)
    )  # fmt: skip


@pytest.mark.parametrize("betas", BETAS)
def test_the_drift_of_every_row_is_the_plain_sum(betas):
    schedule = Schedule(betas, 1e-8)
    steps = 2 * schedule.horizon + 9
    rates = np.random.default_rng(0).random(steps)  # the learning rate changes at every step
    for rate in rates:
        schedule.advance(rate)
    for last in {0, 1, 2, steps // 2, steps - schedule.horizon - 1, steps - schedule.horizon, steps - 1, steps}:
        assert schedule.idle_drift(last) == pytest.approx(plain_drift(last, steps, rates, betas), rel=1e-9, abs=1e-12)


def test_the_sums_go_on_beyond_what_was_set_aside_for_them():
    schedule = Schedule((0.9, 0.999), 1e-8)
    rates = np.linspace(0.1, 1.0, 2600)
    for rate in rates:
        schedule.advance(rate)
    assert len(schedule.tail) > 1024
    for last in (0, 3, 1023, 1024, 1100, 2300, 2599):
        assert schedule.idle_drift(last) == pytest.approx(plain_drift(last, 2600, rates, (0.9, 0.999)), rel=1e-9)


def test_settling_starts_the_sums_afresh():
    schedule = Schedule((0.9, 0.999), 1e-8)
    rates = np.ones(400)
    for _ in range(300):
        schedule.advance(1.0)
    schedule.settle(300)
    assert schedule.idle_drift(300) == 0
    for _ in range(100):
        schedule.advance(1.0)
    assert schedule.idle_drift(300) == pytest.approx(plain_drift(300, 400, rates, (0.9, 0.999)), rel=1e-9)


@pytest.mark.parametrize("betas", BETAS)
def test_the_constants_of_a_step_are_adams(betas):
    step, rate, eps = 7, 0.3, 1e-6
    found = [float(each[0]) for each in Schedule(betas, eps).constants(np.array([step]), rate)]
    beta1, beta2 = betas
    assert found[0] == pytest.approx(rate * math.sqrt(1 - beta2**step) / (1 - beta1**step))
    assert found[1] == pytest.approx(eps * math.sqrt(1 - beta2**step))
    assert found[2] >= found[1] * (1 - 1e-12)  # the idle row's second moment decays, so eps weighs more


@pytest.mark.parametrize("counts", [[1], [5, 1, 300], [1500, 1200]])
def test_many_steps_at_once_have_the_constants_of_single_ones(counts):
    one, many = Schedule((0.9, 0.999), 1e-8), Schedule((0.9, 0.999), 1e-8)
    for count in counts:
        before = one.step
        expected = np.array([one.advance(0.01) for _ in range(count)])
        found = many.advance_many(count, 0.01)
        assert found.before == before
        np.testing.assert_array_equal(np.array([found.rate, found.eps_now, found.eps_idle]).T, expected)
        assert many.step == one.step
        assert len(many.tail) > many.step - many.horizon - many.base  # room for the caller's sums


def tables(seed=0, rows=11, dim=7):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((rows, dim)).astype(np.float32)), rng


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_compiled_equals_reference(weight_decay):
    results = []
    for module in (cpu, reference):
        table, rng = tables()
        state, schedule = RowState.zeros_like(table), Schedule((0.9, 0.999), 1e-8)
        for step in range(120):
            rows = torch.from_numpy(rng.permutation(11)[: rng.integers(0, 5)])
            read = torch.cat((rows, rows, rows[:1]))  # repeats are allowed where rows are read
            module.catch_up(table, state, schedule, read)
            gradients = torch.from_numpy(rng.standard_normal((len(rows), 7)).astype(np.float32))
            constants = schedule.advance(0.01)
            module.update(
                table, state, schedule, rows, gradients, constants=constants, weight_decay=weight_decay
            )  # fmt: skip
            if step == 60:
                module.settle(table, state, schedule)
                schedule.settle(schedule.step)
        module.settle(table, state, schedule)
        results.append((table, state))
    (table, state), (expected, expected_state) = results
    torch.testing.assert_close(table, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(state.last, expected_state.last)
    for name in ("first", "second", "direction"):
        torch.testing.assert_close(getattr(state, name), getattr(expected_state, name), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("module", [cpu, reference])
def test_rows_that_were_never_touched_stay_bit_for_bit(module):
    table, _ = tables()
    before = table.clone()
    state, schedule = RowState.zeros_like(table), Schedule((0.9, 0.999), 1e-8)
    constants = schedule.advance(0.1)
    rows = torch.tensor([3])
    module.update(table, state, schedule, rows, torch.ones(1, 7), constants=constants, weight_decay=0.5)
    schedule.advance(0.1)
    module.catch_up(table, state, schedule, torch.arange(11))
    module.settle(table, state, schedule)
    others = torch.arange(11) != 3
    assert torch.equal(table[others], before[others])
    assert (state.last[others] == NEVER).all()
    assert state.last[3] == 2
    assert not torch.equal(table[3], before[3])


@pytest.mark.parametrize("module", [cpu, reference])
def test_reading_more_often_changes_nothing_but_rounding(module):
    results = []
    for often in (True, False):
        table, rng = tables()
        state, schedule = RowState.zeros_like(table), Schedule((0.9, 0.999), 1e-8)
        constants = schedule.advance(0.1)
        gradients = torch.from_numpy(rng.standard_normal((11, 7)).astype(np.float32))
        module.update(table, state, schedule, torch.arange(11), gradients, constants=constants, weight_decay=0.0)
        for _ in range(300):
            schedule.advance(0.1)
            if often:
                module.catch_up(table, state, schedule, torch.arange(11))
        module.catch_up(table, state, schedule, torch.arange(11))
        again = table.clone()
        module.catch_up(table, state, schedule, torch.arange(11))
        assert torch.equal(again, table)  # nothing is missing the second time
        results.append(table)
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


def test_long_idle_moments_become_zero_not_denormal():
    table, _ = tables()
    state, schedule = RowState.zeros_like(table), Schedule((0.9, 0.999), 1e-8)
    constants = schedule.advance(0.1)
    cpu.update(table, state, schedule, torch.arange(11), torch.ones(11, 7), constants=constants, weight_decay=0.0)
    for _ in range(900):  # 0.9 ** 900 is 6.5e-42, a denormal float32
        schedule.advance(0.1)
    cpu.settle(table, state, schedule)
    assert not state.first.any()
    assert (state.second > 0).all()


def test_which_implementation_serves_which_table():
    table = torch.zeros(4, 3)
    assert implementation(table) is cpu
    assert implementation(table.double()) is reference
    assert implementation(table.T) is reference


@pytest.mark.parametrize("betas", [*BETAS, (0.9, 0.82), (0.0, 0.5), (0.99, 0.999)])
@pytest.mark.parametrize("before", [0, 3, 400])
def test_no_idle_row_drifts_further_than_the_bound(betas, before):
    schedule = Schedule(betas, 1e-8)
    for _ in range(before):
        schedule.advance(0.01)
    bound = schedule.drift_ahead(0.01)
    last = schedule.step
    furthest = 0.0
    for _ in range(600):
        schedule.advance(0.01)
        furthest = max(furthest, schedule.idle_drift(last))
    assert furthest <= bound * (1 + 1e-9)
    if before == 400 and betas == (0.9, 0.999):
        assert furthest > 0.5 * bound
