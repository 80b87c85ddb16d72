r"""The compiled form: value and slope in one pass, on the thread that asks.

.. math::
    M = \log \sum_n e^{x_n} = m + \log \sum_n e^{x_n - m}, \qquad m = \max_n x_n, \qquad
    \frac{\partial M}{\partial x_n} = \frac{e^{x_n - m}}{\sum_k e^{x_k - m}}
"""

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from multimargin.kernels.rows import highest
from multimargin.kernels.team import TOGETHER
from multimargin.kernels.terms import exp_below
from multimargin.kernels.terms import softplus as softplus_of

_LOWEST = np.float32(-np.inf)
_EVERY = np.empty((0, 0), np.bool_)


@numba.njit(**TOGETHER)
def _fill_sums(values, mask, room, slopes, result):
    """Fill ``result`` (B,), and its ``slopes`` (B, N); ``mask`` is (B, N) or (0, 0), ``room`` (16,)."""
    n, masked = values.shape[1], len(mask) > 0
    for b in range(len(values)):
        x, slope = values[b], slopes[b]
        if masked:
            counts = mask[b]
            for k in range(n):
                slope[k] = x[k] if counts[k] else _LOWEST
            x = slope
        top = highest(x, room)
        if top == _LOWEST:
            result[b] = np.float32(0) if masked else top
            slope[:] = np.float32(0)
        else:
            for k in range(n):
                slope[k] = exp_below(x[k] - top)
            if masked:
                for k in range(n):
                    slope[k] = slope[k] if counts[k] else np.float32(0)
            total = np.float32(0)
            for k in range(n):
                total += slope[k]
            result[b] = top + np.float32(np.log(np.float64(total)))
            inverse = np.float32(1) / total
            for k in range(n):
                slope[k] *= inverse


@numba.njit(**TOGETHER)
def _scale_rows(slopes, upstream, result):
    """Fill ``result`` with each row of ``slopes`` times its entry of ``upstream``."""
    for b in range(len(slopes)):
        for k in range(slopes.shape[1]):
            result[b, k] = slopes[b, k] * upstream[b]


@numba.njit(**TOGETHER)
def _fill_softplus(values, sharpness, slopes, result):
    """Fill ``result`` and its ``slopes``, both (n,)."""
    inverse = np.float32(1) / sharpness
    for k in range(len(values)):
        value, slopes[k] = softplus_of(sharpness * values[k])
        result[k] = value * inverse


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, mask: Tensor | None) -> Tensor:
        x, counts = values.detach().contiguous().numpy(), _EVERY if mask is None else mask.contiguous().numpy()
        ctx.slopes, result = np.empty_like(x), np.empty(len(x), np.float32)
        _fill_sums(x, counts, np.empty(16, np.float32), ctx.slopes, result)
        return torch.from_numpy(result)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        result = np.empty_like(ctx.slopes)
        _scale_rows(ctx.slopes, upstream.contiguous().numpy(), result)
        return torch.from_numpy(result), None


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, sharpness: float) -> Tensor:
        x = values.detach().contiguous().numpy()
        slopes, result = np.empty_like(x), np.empty_like(x)
        _fill_softplus(x.reshape(-1), np.float32(sharpness), slopes.reshape(-1), result.reshape(-1))
        ctx.save_for_backward(torch.from_numpy(slopes))
        return torch.from_numpy(result)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return upstream * ctx.saved_tensors[0], None


def log_sum_exp(values: Tensor, mask: Tensor | None) -> Tensor:
    """Equal ``reference.log_sum_exp``."""
    result: Tensor = _LogSumExp.apply(values, mask)  # type: ignore[no-untyped-call]
    return result


def softplus(values: Tensor, sharpness: float) -> Tensor:
    """Equal ``reference.softplus``."""
    result: Tensor = _Softplus.apply(values, sharpness)  # type: ignore[no-untyped-call]
    return result
