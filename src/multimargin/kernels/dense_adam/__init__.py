"""A step of Adam for a parameter whose gradient is dense, in one pass over memory.

Contract: ``cpu.dense_adam(...)`` equals ``reference.dense_adam(...)``. Each entry is read and written once, where
PyTorch's own operations go over the tables five times.
"""

import torch
from torch import Tensor

from multimargin.kernels.dense_adam import reference

__all__ = ["dense_adam"]


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
    """Move ``parameter`` and its moments in place, all of one shape.

    .. math:: m \\leftarrow m + (1 - \\beta_1)(g - m) \\qquad v \\leftarrow \\beta_2 v + (1 - \\beta_2) g^2 \\qquad
        w \\leftarrow w - \\text{rate} \\cdot m / (\\sqrt v + \\text{eps})

    Args:
        parameter: w.
        gradient: g.
        first: m.
        second: v.
        betas: both decays.
        rate: learning rate, bias corrections folded in.
        eps: added to the root, bias correction folded in.
    """
    tensors = parameter, gradient, first, second
    if all(each.device.type == "cpu" and each.dtype == torch.float32 and each.is_contiguous() for each in tensors):
        from multimargin.kernels.dense_adam import cpu

        cpu.dense_adam(*tensors, betas=betas, rate=rate, eps=eps)
    else:
        reference.dense_adam(*tensors, betas=betas, rate=rate, eps=eps)
