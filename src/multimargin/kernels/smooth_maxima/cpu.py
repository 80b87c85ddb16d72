r"""The compiled form: value and slope in one pass over memory; every row has one owner.

.. math::
    M = \log \frac1N \sum_n e^{\kappa x_n} = \kappa m + \log \frac1N \sum_n e^{\kappa (x_n - m)}, \qquad
    m = \max_n x_n, \qquad
    \frac{\partial M}{\partial x_n} = \kappa \frac{e^{\kappa (x_n - m)}}{\sum_k e^{\kappa (x_k - m)}}
"""

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from multimargin.kernels.rows import highest
from multimargin.kernels.team import TOGETHER, run_together, share, threads_for
from multimargin.kernels.terms import exp_below
from multimargin.kernels.terms import softplus as softplus_of

_LOWEST = np.float32(-np.inf)
_EVERY = np.empty((0, 0), np.bool_)
_PER_NUMBER = 10  # multiplications that an exponential takes


@numba.njit(inline="always")
def _fill_row(x, sharpness, room, slopes):
    """Fill ``slopes`` with exp(sharpness (x - max x)); return the maximum."""
    top = highest(x, room)
    for k in range(len(x)):
        slopes[k] = exp_below((x[k] - top) * sharpness)
    return top


@numba.njit(inline="always")
def _fill_masked_row(x, counts, sharpness, room, slopes):
    """Do the same where ``counts``; 0 elsewhere."""
    for k in range(len(x)):
        slopes[k] = x[k] if counts[k] else _LOWEST
    top = highest(slopes, room)
    for k in range(len(x)):
        slope = exp_below((x[k] - top) * sharpness)
        slopes[k] = slope if counts[k] else np.float32(0)
    return top


@numba.njit(**TOGETHER)
def _fill_means(thread, threads, cells, values, mask, sharpness, empty, rooms, slopes, result):
    """Fill ``result`` (B,), and its ``slopes`` (B, N); ``mask`` is (B, N) or (0, 0), ``rooms`` (threads, 16)."""
    n, masked, room = values.shape[1], len(mask) > 0, rooms[thread]
    first, stop = share(thread, threads, len(values))
    for b in range(first, stop):
        x, slope, total, count = values[b], slopes[b], np.float32(0), n
        if masked:
            counts, count = mask[b], 0
            for k in range(n):
                count += counts[k]
            top = _fill_masked_row(x, counts, sharpness, room, slope)
        else:
            top = _fill_row(x, sharpness, room, slope)
        if top == _LOWEST:
            result[b] = top if count else empty
            slope[:] = total
        else:
            for k in range(n):
                total += slope[k]
            result[b] = top * sharpness + np.float32(np.log(np.float64(total) / count))
            inverse = sharpness / total
            for k in range(n):
                slope[k] *= inverse


@numba.njit(**TOGETHER)
def _scale_rows(thread, threads, cells, slopes, upstream, result):
    """Fill ``result`` with each row of ``slopes`` times its entry of ``upstream``."""
    first, stop = share(thread, threads, len(slopes))
    for b in range(first, stop):
        row, slope, factor = result[b], slopes[b], upstream[b]
        for k in range(len(row)):
            row[k] = slope[k] * factor


@numba.njit(**TOGETHER)
def _fill_softplus(thread, threads, cells, values, sharpness, slopes, result):
    """Fill ``result`` and its ``slopes``, both (n,)."""
    first, stop = share(thread, threads, len(values))
    x, slope, value, inverse = values[first:stop], slopes[first:stop], result[first:stop], np.float32(1) / sharpness
    for k in range(len(x)):
        soft, slope[k] = softplus_of(sharpness * x[k])
        value[k] = soft * inverse


class _LogMeanExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, mask: Tensor | None, sharpness: float, empty: float) -> Tensor:
        x, counts = values.detach().contiguous().numpy(), _EVERY if mask is None else mask.contiguous().numpy()
        ctx.slopes, result = np.empty_like(x), np.empty(len(x), np.float32)
        threads = threads_for(_PER_NUMBER * x.size)
        rooms = np.empty((threads, 16), np.float32)
        run_together(
            threads, _fill_means, x, counts, np.float32(sharpness), np.float32(empty), rooms, ctx.slopes, result
        )
        return torch.from_numpy(result)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        result = np.empty_like(ctx.slopes)
        run_together(threads_for(result.size), _scale_rows, ctx.slopes, upstream.contiguous().numpy(), result)
        return torch.from_numpy(result), None, None, None


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, sharpness: float) -> Tensor:
        x = values.detach().contiguous().numpy()
        slopes, result = np.empty_like(x), np.empty_like(x)
        run_together(
            threads_for(_PER_NUMBER * x.size), _fill_softplus, x.reshape(-1), np.float32(sharpness),
            slopes.reshape(-1), result.reshape(-1),
        )  # fmt: skip
        ctx.save_for_backward(torch.from_numpy(slopes))
        return torch.from_numpy(result)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return upstream * ctx.saved_tensors[0], None


def log_mean_exp(values: Tensor, mask: Tensor | None, sharpness: float, empty: float) -> Tensor:
    """Equal ``reference.log_mean_exp``."""
    result: Tensor = _LogMeanExp.apply(values, mask, sharpness, empty)  # type: ignore[no-untyped-call]
    return result


def softplus(values: Tensor, sharpness: float) -> Tensor:
    """Equal ``reference.softplus``."""
    result: Tensor = _Softplus.apply(values, sharpness)  # type: ignore[no-untyped-call]
    return result
