"""The definition, in plain PyTorch on any device: rows brought up to date, rows moved, everything settled."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from multimargin.kernels.lazy_adam.schedule import NEVER, Schedule
from multimargin.kernels.lazy_adam.state import RowState


def catch_up(table: Float[Tensor, "R D"], state: RowState, schedule: Schedule, rows: Int[Tensor, " n"]) -> None:
    """Bring ``rows`` (repeats allowed) to the value dense Adam has for them after ``schedule.step`` steps."""
    rows = torch.unique(rows)
    last = state.last[rows].long()
    rows, last = rows[last != NEVER], last[last != NEVER]
    if not len(rows):
        return
    idle = schedule.step - last
    drift = torch.from_numpy(schedule.drift).to(table.device)
    tail = torch.from_numpy(schedule.tail).to(table.device)
    within = idle <= schedule.horizon
    due = torch.where(
        within, drift[idle.clamp(max=schedule.horizon)], tail[torch.where(within, 0, last - schedule.base)]
    )
    due = due.to(state.applied.dtype)  # as remembered, or what rounding cut off would be applied at every read
    missing = (due - state.applied[rows]).to(table.dtype)
    table[rows] -= missing[:, None] * state.direction[rows]
    state.applied[rows] = due


def update(
    table: Float[Tensor, "R D"],
    state: RowState,
    schedule: Schedule,
    rows: Int[Tensor, " n"],
    gradients: Float[Tensor, "n D"],
    *,
    constants: tuple[float, float, float],
    weight_decay: float,
) -> None:
    """Move distinct, caught-up ``rows`` by one Adam step; call after ``schedule.advance`` gave ``constants``."""
    rate, eps_now, eps_idle = constants
    if weight_decay:
        gradients = gradients + weight_decay * table[rows]
    idle = torch.where(state.last[rows] == NEVER, 1, schedule.step - state.last[rows])[:, None].double()
    first = (state.first[rows] * schedule.beta1**idle + (1 - schedule.beta1) * gradients).to(table.dtype)
    second = (state.second[rows] * schedule.beta2**idle + (1 - schedule.beta2) * gradients * gradients).to(table.dtype)
    root = second.sqrt()
    table[rows] -= rate * first / (root + eps_now)
    state.first[rows], state.second[rows] = first, second
    state.direction[rows] = first / (root + eps_idle)
    state.last[rows] = schedule.step
    state.applied[rows] = 0


def settle(table: Float[Tensor, "R D"], state: RowState, schedule: Schedule) -> None:
    """Bring every row and its moments to ``schedule.step``; then the state is dense Adam's."""
    catch_up(table, state, schedule, torch.arange(len(table), device=table.device))
    touched = state.last != NEVER
    idle = torch.where(touched, schedule.step - state.last, 0)[:, None].double()
    state.first.copy_(state.first * schedule.beta1**idle)
    state.second.copy_(state.second * schedule.beta2**idle)
    eps_idle = float(schedule.constants(np.array([max(schedule.step, 1)]), 1.0)[2][0])
    state.direction.copy_(state.first / (state.second.sqrt() + eps_idle))
    state.last[touched] = schedule.step
    state.applied.zero_()
