r"""Smooth maxima that losses are made of: of a row of numbers, and of a number and 0.

Contract: each equals its ``reference``, value and gradient, in one pass over memory with the slopes kept for the way
back. PyTorch's own take ten passes there and back, which on a batch's scores cost more than scoring them.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.kernels.smooth_maxima import reference

__all__ = ["log_mean_exp", "softplus"]

_IMPLEMENTATIONS = ("auto", "cpu", "reference")
_FEW = 2048  # numbers on which PyTorch is as fast


def log_mean_exp(
    values: Float[Tensor, "B N"],
    mask: Bool[Tensor, "B N"] | None = None,
    *,
    sharpness: float = 1.0,
    empty: float = 0.0,
    impl: str = "auto",
) -> Float[Tensor, " B"]:
    """Return the logarithm of the mean of exp(sharpness * value) over each row's entries that count.

    Args:
        values: (B, N), N at least 1.
        mask: (B, N) true where one counts; None: all.
        sharpness: what values are multiplied by, 0 or more.
        empty: the value of a row in which none counts; it has no gradient.
        impl: "cpu" (numba, float32), "reference" (PyTorch, any device and dtype), or "auto".

    Raises:
        ArgumentError: an unknown ``impl``.
    """
    if not _is_compiled(impl, values):
        return reference.log_mean_exp(values, mask, sharpness=sharpness, empty=empty)
    from multimargin.kernels.smooth_maxima import cpu

    return cpu.log_mean_exp(values, mask, sharpness, empty)


def softplus(values: Float[Tensor, "*shape"], *, sharpness: float = 1.0, impl: str = "auto") -> Float[Tensor, "*shape"]:
    """Return log(1 + exp(sharpness * value)) / sharpness; ``sharpness`` is above 0, ``impl`` as in ``log_mean_exp``."""
    if not _is_compiled(impl, values):
        return reference.softplus(values, sharpness=sharpness)
    from multimargin.kernels.smooth_maxima import cpu

    return cpu.softplus(values, sharpness)


def _is_compiled(asked: str, values: Tensor) -> bool:
    checks.choice("impl", asked, _IMPLEMENTATIONS)
    can = values.device.type == "cpu" and values.dtype == torch.float32 and not torch.compiler.is_compiling()
    return asked == "cpu" or (asked == "auto" and can and values.numel() > _FEW)
