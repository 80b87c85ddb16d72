"""Lazy Adam against dense Adam in float64: idle rows, changing rates, settling, checkpoints, dense parameters."""

import copy

import numpy as np
import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.kernels.lazy_adam import cpu, reference
from multimargin.optim import LazyAdam

ROWS, DIM = 13, 5
# (implementation, dtype of the table, how far a row may be from dense Adam's in float64, relative)
FORMS = [(cpu, torch.float32, 1e-4), (reference, torch.float32, 1e-4), (reference, torch.float64, 1e-6)]


@pytest.fixture(params=FORMS, ids=["cpu-float32", "reference-float32", "reference-float64"])
def form(request, monkeypatch):
    """Make every table's implementation the one asked for; return dtype and tolerance."""
    module, dtype, tolerance = request.param
    monkeypatch.setattr("multimargin.optim.lazy_adam.implementation", lambda table: module)
    return dtype, tolerance


def plan(steps, seed=0, *, changing=True):
    """Yield (learning rate, touched rows, their gradients): some rows rarely, row 0 only at first, row 1 never."""
    rng = np.random.default_rng(seed)
    often = np.linspace(0.01, 0.9, ROWS)
    for step in range(steps):
        touched = rng.random(ROWS) < often
        touched[0], touched[1] = step < 4, False
        rate = 0.01 * (0.3 + rng.random()) if changing else 0.01
        rows = np.flatnonzero(touched)
        yield rate, torch.from_numpy(rows), torch.from_numpy(rng.standard_normal((len(rows), DIM)))


def start(seed=1):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((ROWS, DIM)))


class Dense:
    """torch.optim.Adam in float64 with the same gradients, 0 in all other rows."""

    def __init__(self, betas=(0.9, 0.999), weight_decay=0.0):
        self.table = torch.nn.Parameter(start())
        self.weight_decay = weight_decay  # on touched rows only, so not Adam's own
        self.adam = torch.optim.Adam([self.table], betas=betas)

    def step(self, rate, rows, gradients):
        self.adam.param_groups[0]["lr"] = rate
        self.table.grad = torch.zeros_like(self.table)
        self.table.grad[rows] = gradients + self.weight_decay * self.table.detach()[rows]
        self.adam.step()


def lazy_table(dtype, **options):
    table = torch.nn.Parameter(start().to(dtype))
    return table, LazyAdam([table], **options)


def lazy_step(table, optimizer, rate, rows, gradients):
    """One step as the loop takes it: read, differentiate, move; gradients not coalesced."""
    optimizer.catch_up(table, rows)
    twice = torch.cat((rows, rows))
    halves = torch.cat((gradients / 2, gradients / 2)).to(table.dtype)
    optimizer.options["lr"] = rate
    table.grad = torch.sparse_coo_tensor(twice[None], halves, table.shape, check_invariants=True)
    optimizer.step()
    optimizer.zero_grad()


def assert_rows_agree(table, dense, tolerance):
    exact = dense.table.detach()
    off = (table.detach().double() - exact).norm(dim=1) / exact.norm(dim=1)
    assert off.max() <= tolerance, f"row {off.argmax()} is {off.max():.1e} away"


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)])
def test_equals_dense_adam_after_500_steps(form, betas, weight_decay):
    dtype, tolerance = form
    dense = Dense(betas, weight_decay)
    table, optimizer = lazy_table(dtype, betas=betas, weight_decay=weight_decay)
    for step, (rate, rows, gradients) in enumerate(plan(500)):
        dense.step(rate, rows, gradients)
        lazy_step(table, optimizer, rate, rows, gradients)
        if step in (100, 101, 350):
            optimizer.settle()
            assert_rows_agree(table, dense, tolerance)
    optimizer.settle()
    assert_rows_agree(table, dense, tolerance)


@pytest.mark.parametrize("idle", [1, 2, 219, 220, 221, 260, 1024, 1400])
def test_a_row_that_was_idle_for_long_is_where_dense_adam_has_it(form, idle):
    dtype, tolerance = form
    dense = Dense()
    table, optimizer = lazy_table(dtype)
    rng = np.random.default_rng(2)
    everything = torch.arange(ROWS)
    for step in range(30 + idle + 5):
        rows = torch.arange(0 if not 30 <= step < 30 + idle else ROWS // 2, ROWS)  # the first half is idle
        gradients = torch.from_numpy(rng.standard_normal((len(rows), DIM)))
        if step == 30 + idle:
            optimizer.catch_up(table, everything)
            assert_rows_agree(table, dense, tolerance)
        dense.step(0.01, rows, gradients)
        lazy_step(table, optimizer, 0.01, rows, gradients)
    assert_rows_agree(table, dense, tolerance)


def test_moments_are_dense_adams_once_settled(form):
    dtype, _ = form
    dense = Dense()
    table, optimizer = lazy_table(dtype)
    for rate, rows, gradients in plan(80):
        dense.step(rate, rows, gradients)
        lazy_step(table, optimizer, rate, rows, gradients)
    found = optimizer.tensors()
    moments = dense.adam.state[dense.table]
    assert found["step"] == moments["step"] == 80
    torch.testing.assert_close(found["0.table.first"].double(), moments["exp_avg"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found["0.table.second"].double(), moments["exp_avg_sq"], rtol=1e-4, atol=1e-7)


def test_what_is_saved_goes_on_bit_for_bit(form):
    dtype, _ = form
    table, optimizer = lazy_table(dtype)
    steps = list(plan(420))
    for each in steps[:300]:
        lazy_step(table, optimizer, *each)
    saved = {name: tensor.clone() for name, tensor in optimizer.tensors().items()}
    other = torch.nn.Parameter(table.detach().clone())
    resumed = LazyAdam([other])
    resumed.load_tensors(saved)
    for each in steps[300:]:
        lazy_step(table, optimizer, *each)
        lazy_step(other, resumed, *each)
    optimizer.settle()
    resumed.settle()
    assert torch.equal(table, other)
    for name, tensor in optimizer.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name


def test_state_dict_is_the_whole_state(form):
    dtype, _ = form
    table, optimizer = lazy_table(dtype)
    steps = list(plan(40))
    for each in steps[:30]:
        lazy_step(table, optimizer, *each)
    saved = copy.deepcopy(optimizer.state_dict())
    other = torch.nn.Parameter(table.detach().clone())
    resumed = LazyAdam([other], lr=0.7)
    resumed.load_state_dict(saved)
    for each in steps[30:]:
        lazy_step(table, optimizer, *each)
        lazy_step(other, resumed, *each)
    assert torch.equal(table, other)


def test_settling_twice_changes_nothing(form):
    dtype, _ = form
    table, optimizer = lazy_table(dtype)
    for each in plan(50):
        lazy_step(table, optimizer, *each)
    optimizer.settle()
    before = table.detach().clone(), {name: tensor.clone() for name, tensor in optimizer.tensors().items()}
    optimizer.settle()
    assert torch.equal(table, before[0])
    assert all(torch.equal(tensor, before[1][name]) for name, tensor in optimizer.tensors().items())


def test_state_made_before_the_first_step_is_the_same_start(form):
    dtype, _ = form
    results = []
    for early in (True, False):
        table, optimizer = lazy_table(dtype)
        if early:
            optimizer.rows_of(table)
            optimizer.settle()
        for each in plan(20):
            lazy_step(table, optimizer, *each)
        optimizer.settle()
        results.append(table.detach())
    assert torch.equal(*results)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_dense_gradients_get_ordinary_adam(weight_decay):
    rng = np.random.default_rng(0)
    values = [torch.from_numpy(rng.standard_normal(shape)) for shape in ((4, 3), (5,), ())]
    ours, theirs = ([torch.nn.Parameter(each.clone()) for each in values] for _ in range(2))
    lazy = LazyAdam(ours, lr=0.02, weight_decay=weight_decay)
    adam = torch.optim.Adam(theirs, lr=0.02, weight_decay=weight_decay)
    for step in range(60):
        if step == 30:
            saved = {name: tensor.clone() for name, tensor in lazy.tensors().items()}
            lazy = LazyAdam(ours, lr=0.02, weight_decay=weight_decay)
            lazy.load_tensors(saved)
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.from_numpy(np.asarray(rng.standard_normal(mine.shape)))
            other.grad = mine.grad.clone()
        lazy.step()
        adam.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


def test_a_table_and_dense_parameters_share_the_clock():
    weights = [torch.nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2)]
    table = torch.nn.Parameter(start().float())
    dense = Dense()
    lazy, adam = LazyAdam([table, weights[0]]), torch.optim.Adam([weights[1]], lr=0.01)
    for _, rows, gradients in plan(40, changing=False):
        for weight in weights:
            weight.grad = torch.full((3,), float(gradients.sum()) + 0.1, dtype=torch.float64)
        dense.step(0.01, rows, gradients)
        adam.step()
        lazy_step(table, lazy, 0.01, rows, gradients)
    lazy.settle()
    assert_rows_agree(table, dense, 1e-4)
    torch.testing.assert_close(*weights, rtol=1e-10, atol=1e-12)


def test_a_closure_is_called_with_gradients():
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = LazyAdam([weight], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 4.0
    assert weight.item() == pytest.approx(1.9)


def test_a_scheduler_of_torch_can_drive_it():
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = LazyAdam([weight], lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    weight.grad = torch.ones(1)
    optimizer.step()
    scheduler.step()
    assert optimizer.options["lr"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "lr must be above 0"),
        ({"lr": float("nan")}, "lr must be a finite number"),
        ({"eps": 0.0}, "eps must be above 0"),
        ({"weight_decay": -1.0}, "weight_decay must be 0 or more"),
        ({"betas": (1.0, 0.999)}, r"betas\[0\] must be at least 0 and below 1"),
        ({"betas": (0.9, 1.0)}, r"betas\[1\] must be at least 0 and below 1"),
        ({"betas": (0.9, 0.81)}, r"betas\[0\] must be below the square root of betas\[1\]"),
    ],
)
def test_a_broken_argument_is_named(options, message):
    with pytest.raises(ArgumentError, match=message):
        LazyAdam([torch.nn.Parameter(torch.zeros(2, 2))], **options)


def test_more_than_one_group_is_refused():
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    with pytest.raises(ArgumentError, match="params must be one group"):
        LazyAdam(groups)
