"""All of a step for one entry after the other, float32; entries are shared out to threads."""

import numba
import numpy as np
from torch import Tensor

from multimargin.kernels.team import TOGETHER, run_together, share, threads_for

_OPERATIONS = 8  # of an entry: when a second thread pays off


@numba.njit(**TOGETHER)
def _move(thread, threads, cells, parameter, gradient, first, second, add1, keep2, add2, rate, eps):
    begin, end = share(thread, threads, parameter.shape[0])
    w, g, m, v = parameter[begin:end], gradient[begin:end], first[begin:end], second[begin:end]
    for k in range(end - begin):
        slope = g[k]
        moment = m[k] + add1 * (slope - m[k])
        spread = keep2 * v[k] + add2 * slope * slope
        w[k] -= rate * moment / (np.sqrt(spread) + eps)
        m[k], v[k] = moment, spread


def dense_adam(
    parameter: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    *,
    betas: tuple[float, float],
    rate: float,
    eps: float,
) -> None:
    """Move ``parameter`` and its moments in place."""
    arrays = (each.detach().view(-1).numpy() for each in (parameter, gradient, first, second))
    numbers = 1 - betas[0], betas[1], 1 - betas[1], rate, eps
    run_together(threads_for(_OPERATIONS * parameter.numel()), _move, *arrays, *map(np.float32, numbers))
