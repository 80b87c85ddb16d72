"""The compiled form: one row at a time, each row owned by one thread, so that no result depends on their number.

Memory: nothing beyond the state. Traffic of a catch-up: two rows read and one written (the moments stay untouched until
the next gradient); of an update: five rows read, four written.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

from multimargin.kernels.lazy_adam.schedule import NEVER, Schedule
from multimargin.kernels.lazy_adam.state import RowState
from multimargin.kernels.team import TOGETHER, run_together, share, threads_for

_FORGOTTEN = 1e-25  # a moment decayed below this is 0: keeps denormal numbers out of the tables


class Table(NamedTuple):
    """A table and its state, as compiled code sees them."""

    vectors: Any  # (R, D)
    moments: Any  # (R, 3, D)
    last: Any  # (R,) int32
    applied: Any  # (R,)


class Clock(NamedTuple):
    """The drift sums at the start of a call and the constants of each step in it (see ``schedule``)."""

    base: int
    horizon: int
    power: Any  # (horizon+1,)
    drift: Any  # (horizon+1,)
    tail: Any
    rate: Any  # (steps,)
    eps_now: Any  # (steps,)
    eps_idle: Any  # (steps,)
    beta1: float
    beta2: float
    decay_low: Any  # (2, 64)
    decay_high: Any
    weight_decay: np.float32


@numba.njit(inline="always")
def missing_drift(last, applied, row, now, clock):
    """Return the drift that ``row`` still lacks at step ``now``, float32."""
    since = np.int64(last[row])
    missing = np.float32(0)
    if since != NEVER:
        idle = now - since
        due = np.float32(clock.drift[idle]) if idle <= clock.horizon else np.float32(clock.tail[since - clock.base])
        missing = due - applied[row]
    return missing


@numba.njit(inline="always")
def decays(idle, clock):
    """Return beta1^idle and beta2^idle, float32."""
    low, high = idle % clock.decay_low.shape[1], idle // clock.decay_low.shape[1]
    keep1 = np.float32(clock.decay_low[0, low] * clock.decay_high[0, high])
    keep2 = np.float32(clock.decay_low[1, low] * clock.decay_high[1, high])
    return np.float32(0) if keep1 < _FORGOTTEN else keep1, keep2


@numba.njit(inline="always")
def bring_up(t, row, now, clock):
    """Bring ``row`` of ``t`` to step ``now``."""
    missing = missing_drift(t.last, t.applied, row, now, clock)
    if missing != np.float32(0):
        w, e = t.vectors[row], t.moments[row, 2]
        for d in range(t.vectors.shape[1]):
            w[d] -= missing * e[d]
        t.applied[row] += missing


@numba.njit(inline="always")
def move_row(t, row, gradient, scale, now, k, clock):
    """Move the brought-up ``row`` by Adam's step ``now``, the call's ``k``-th, with ``scale * gradient``."""
    rate, eps_now, eps_idle = np.float32(clock.rate[k]), np.float32(clock.eps_now[k]), np.float32(clock.eps_idle[k])
    add1, add2 = np.float32(1 - clock.beta1), np.float32(1 - clock.beta2)
    keep1, keep2 = decays(0 if t.last[row] == NEVER else now - t.last[row], clock)
    w, m, v, e = t.vectors[row], t.moments[row, 0], t.moments[row, 1], t.moments[row, 2]
    for d in range(t.vectors.shape[1]):
        slope = scale * gradient[d] + clock.weight_decay * w[d]
        moment = keep1 * m[d] + add1 * slope
        spread = keep2 * v[d] + add2 * slope * slope
        root = np.sqrt(spread)
        now_, idle_ = root + eps_now, root + eps_idle
        both = moment / (now_ * idle_)  # one division; the root of a float32 can be squared
        w[d] -= rate * both * idle_
        m[d], v[d], e[d] = moment, spread, both * now_
    t.last[row] = now
    t.applied[row] = np.float32(0)


@numba.njit(inline="always")
def pass_step(clock, now, k):
    """Note that step ``now + 1``, the call's ``k``-th, is taken: R_T[j] = R_{T-1}[j-1] + r^j rate; by one thread."""
    for idle in range(clock.horizon, 0, -1):
        clock.drift[idle] = clock.drift[idle - 1] + clock.power[idle] * clock.rate[k]
    if now + 1 - clock.horizon - clock.base >= 0:
        clock.tail[now + 1 - clock.horizon - clock.base] = clock.drift[clock.horizon]


@numba.njit(**TOGETHER)
def _catch_up(thread, threads, cells, table, rows, now, clock):
    for row in rows:  # each row has one owner, however often it is listed
        if row % threads == thread:
            bring_up(table, row, now, clock)


@numba.njit(**TOGETHER)
def _update(thread, threads, cells, table, rows, gradients, now, clock):
    first, stop = share(thread, threads, len(rows))
    for k in range(first, stop):
        move_row(table, rows[k], gradients[k], np.float32(1), now, 0, clock)


@numba.njit(**TOGETHER)
def _settle(thread, threads, cells, table, now, clock):
    first, stop = share(thread, threads, len(table.last))
    for row in range(first, stop):
        if table.last[row] != NEVER:
            bring_up(table, row, now, clock)
            keep1, keep2 = decays(now - table.last[row], clock)
            m, v, e = table.moments[row, 0], table.moments[row, 1], table.moments[row, 2]
            for d in range(table.vectors.shape[1]):
                m[d] *= keep1
                v[d] *= keep2
                e[d] = m[d] / (np.sqrt(v[d]) + np.float32(clock.eps_idle[0]))
            table.last[row] = now
        table.applied[row] = np.float32(0)


def as_table(table, state: RowState) -> Table:
    """Return the table and its state as compiled code sees them."""
    return Table(table.detach().numpy(), state.moments.numpy(), state.last.numpy(), state.applied.numpy())


def as_clock(schedule: Schedule, rate: Any, eps_now: Any, eps_idle: Any, weight_decay: float = 0.0) -> Clock:
    """Return the schedule with the constants of some steps, (steps,) each, as compiled code sees them."""
    return Clock(
        schedule.base, schedule.horizon, schedule.power, schedule.drift, schedule.tail, rate, eps_now, eps_idle,
        schedule.beta1, schedule.beta2, schedule.decay_low, schedule.decay_high, np.float32(weight_decay),
    )  # fmt: skip


def _one_step(schedule: Schedule, constants: tuple[float, float, float], weight_decay: float = 0.0) -> Clock:
    rate, eps_now, eps_idle = (np.array([each]) for each in constants)
    return as_clock(schedule, rate, eps_now, eps_idle, weight_decay)


def _run(rows: int, kernel: Any, table: Table, *arguments: Any) -> None:
    run_together(threads_for(5 * rows * table.vectors.shape[1]), kernel, table, *arguments)


def catch_up(table, state: RowState, schedule: Schedule, rows) -> None:
    """Equal ``reference.catch_up``."""
    clock = _one_step(schedule, (0.0, 0.0, 0.0))
    _run(len(rows), _catch_up, as_table(table, state), rows.numpy(), schedule.step, clock)


def update(
    table,
    state: RowState,
    schedule: Schedule,
    rows,
    gradients,
    *,
    constants: tuple[float, float, float],
    weight_decay: float,
) -> None:
    """Equal ``reference.update``."""
    clock = _one_step(schedule, constants, weight_decay)
    values = gradients.detach().contiguous().numpy()
    _run(len(rows), _update, as_table(table, state), rows.numpy(), values, schedule.step, clock)


def settle(table, state: RowState, schedule: Schedule) -> None:
    """Equal ``reference.settle``."""
    rate, eps_now, eps_idle = schedule.constants(np.array([max(schedule.step, 1)]), 1.0)
    clock = as_clock(schedule, rate, eps_now, eps_idle)
    _run(len(table), _settle, as_table(table, state), schedule.step, clock)
