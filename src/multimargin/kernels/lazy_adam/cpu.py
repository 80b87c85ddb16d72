"""The compiled form: one row at a time, each row owned by one thread, so that no result depends on their number.

Memory: nothing beyond the state. Traffic of a catch-up: two rows read and one written (the moments stay untouched until
the next gradient); of an update: five rows read, four written.
"""

import numba
import numpy as np

from multimargin.kernels.lazy_adam.schedule import NEVER, Schedule
from multimargin.kernels.lazy_adam.state import RowState
from multimargin.kernels.rows import FAST, TINY
from multimargin.kernels.threads import get_threads

_FORGOTTEN = 1e-25  # a moment decayed below this is 0: keeps denormal numbers out of the tables


@numba.njit(cache=True, fastmath=FAST)
def catch_up_range(
    table, direction, last, applied, inverse, cosine, rows, start, stop, lane, lanes, step, base, horizon, drift, tail
):
    """Bring ``rows[start:stop]`` (of empty ``rows``: start..stop) that are ``lane`` modulo ``lanes`` to ``step``.

    Keeps ``inverse`` (their inverse norms) true when ``cosine``. One flat loop over plain arrays: handing rows to
    functions one by one costs more, in reference counts, than the arithmetic.
    """
    listed = len(rows) > 0
    for k in range(start, stop):
        row = np.int64(rows[k]) if listed else k
        if lanes > 1 and row % lanes != lane:
            continue
        since = np.int64(last[row])
        if since == NEVER:
            continue
        idle = step - since
        due = np.float32(drift[idle] if idle <= horizon else tail[since - base])
        missing = due - applied[row]
        if missing != np.float32(0):
            w, e = table[row], direction[row]
            square = np.float32(0)
            for d in range(w.shape[0]):
                value = w[d] - missing * e[d]
                w[d] = value
                square += value * value
            applied[row] = due
            if cosine:
                inverse[row] = np.float32(1) / max(np.sqrt(square), TINY)


@numba.njit(cache=True, fastmath=FAST)
def update_range(
    table, first, second, direction, last, applied, inverse, cosine, rows, wanted, gradients, start, stop, scale,
    step, rate, eps_now, eps_idle, beta1, beta2, decay,
):  # fmt: skip
    """Move the caught-up ``rows[k]``, start <= k < stop, by one Adam step with ``scale * gradients[k]``.

    If ``wanted`` is not empty, only where ``wanted[k] == k``. Keeps ``inverse`` true when ``cosine``.
    """
    choosy = len(wanted) > 0
    rate, eps_now, eps_idle = np.float32(rate), np.float32(eps_now), np.float32(eps_idle)
    add1, add2 = np.float32(1 - beta1), np.float32(1 - beta2)
    for k in range(start, stop):
        if choosy and wanted[k] != k:
            continue
        row = np.int64(rows[k])
        idle = np.float64(1 if last[row] == NEVER else step - last[row])
        keep1, keep2 = np.float32(beta1**idle), np.float32(beta2**idle)
        if keep1 < _FORGOTTEN:
            keep1 = np.float32(0)
        w, m, v, e, g = table[row], first[row], second[row], direction[row], gradients[k]
        square = np.float32(0)
        for d in range(w.shape[0]):
            gradient = scale * g[d] + decay * w[d]
            moment = keep1 * m[d] + add1 * gradient
            spread = keep2 * v[d] + add2 * gradient * gradient
            root = np.sqrt(spread)
            value = w[d] - rate * moment / (root + eps_now)
            m[d], v[d], w[d] = moment, spread, value
            e[d] = moment / (root + eps_idle)
            square += value * value
        last[row] = step
        applied[row] = np.float32(0)
        if cosine:
            inverse[row] = np.float32(1) / max(np.sqrt(square), TINY)


@numba.njit(cache=True, parallel=True)
def _catch_up(table, direction, last, applied, rows, lanes, step, base, horizon, drift, tail):
    for lane in numba.prange(lanes):  # each row has one owner, however often it is listed
        catch_up_range(
            table,
            direction,
            last,
            applied,
            applied,
            False,
            rows,
            0,
            len(rows),
            lane,
            lanes,
            step,
            base,
            horizon,
            drift,
            tail,
        )


@numba.njit(cache=True, parallel=True)
def _update(
    table, first, second, direction, last, applied, rows, gradients, step, rate, eps_now, eps_idle, beta1, beta2, decay
):
    for k in numba.prange(len(rows)):
        update_range(
            table, first, second, direction, last, applied, applied, False, rows, rows[:0], gradients, k, k + 1,
            np.float32(1), step, rate, eps_now, eps_idle, beta1, beta2, decay,
        )  # fmt: skip


@numba.njit(cache=True, parallel=True)
def _settle(table, first, second, direction, last, applied, step, base, horizon, drift, tail, eps_idle, beta1, beta2):
    for row in numba.prange(table.shape[0]):
        if last[row] != NEVER:
            # 1. the row itself
            catch_up_range(
                table,
                direction,
                last,
                applied,
                applied,
                False,
                last[:0],
                row,
                row + 1,
                0,
                1,
                step,
                base,
                horizon,
                drift,
                tail,
            )
            # 2. its moments
            idle = np.float64(step - last[row])
            keep1, keep2 = np.float32(beta1**idle), np.float32(beta2**idle)
            if keep1 < _FORGOTTEN:
                keep1 = np.float32(0)
            for d in range(table.shape[1]):
                first[row, d] *= keep1
                second[row, d] *= keep2
                direction[row, d] = first[row, d] / (np.sqrt(second[row, d]) + np.float32(eps_idle))
            last[row] = step
        applied[row] = np.float32(0)


def catch_up(table, state: RowState, schedule: Schedule, rows) -> None:
    """Equal ``reference.catch_up``."""
    _catch_up(
        table.detach().numpy(), state.direction.numpy(), state.last.numpy(), state.applied.numpy(), rows.numpy(),
        get_threads(), schedule.step, schedule.base, schedule.horizon, schedule.drift, schedule.tail,
    )  # fmt: skip


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
    _update(
        table.detach().numpy(), state.first.numpy(), state.second.numpy(), state.direction.numpy(), state.last.numpy(),
        state.applied.numpy(), rows.numpy(), gradients.detach().contiguous().numpy(), schedule.step, *constants,
        schedule.beta1, schedule.beta2, np.float32(weight_decay),
    )  # fmt: skip


def settle(table, state: RowState, schedule: Schedule) -> None:
    """Equal ``reference.settle``."""
    _, _, eps_idle = schedule.constants(max(schedule.step, 1), 1.0)
    _settle(
        table.detach().numpy(), state.first.numpy(), state.second.numpy(), state.direction.numpy(), state.last.numpy(),
        state.applied.numpy(), schedule.step, schedule.base, schedule.horizon, schedule.drift, schedule.tail,
        eps_idle, schedule.beta1, schedule.beta2,
    )  # fmt: skip
