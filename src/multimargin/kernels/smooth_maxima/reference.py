"""The definition, in PyTorch."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def log_mean_exp(
    values: Float[Tensor, "B N"], mask: Bool[Tensor, "B N"] | None, *, sharpness: float, empty: float
) -> Float[Tensor, " B"]:
    """Return the logarithm of the mean of exp(sharpness * value) over each row's entries that count, else ``empty``.

    With a mask one matrix is kept for the gradient; PyTorch's own ``where`` and ``logsumexp`` keep and make several.
    """
    if mask is None:
        return (values * sharpness).logsumexp(-1) - math.log(values.shape[-1])
    result: Tensor = _LogMeanExp.apply(values, mask, sharpness, empty)  # type: ignore[no-untyped-call]
    return result


class _LogMeanExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, mask: Tensor, sharpness: float, empty: float) -> Tensor:
        parts = values.masked_fill(~mask, -torch.inf)  # (B, N)
        top = parts.amax(-1) if parts.shape[-1] else parts.new_full(parts.shape[:1], -torch.inf)  # (B,)
        some = top > -torch.inf
        parts.sub_(torch.where(some, top, 0.0)[:, None]).mul_(sharpness).exp_().masked_fill_(~mask, 0.0)
        total = torch.where(some, parts.sum(-1), 1.0)
        ctx.save_for_backward(parts, total)
        ctx.sharpness = sharpness
        count = mask.sum(-1, dtype=torch.int32)  # (B,); int64 takes seven times as long
        lowest = torch.where(count > 0, top, empty)  # nothing counts, or nothing but infinities
        return torch.where(some, top * sharpness + (total / count.clamp(min=1)).log(), lowest)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        parts, total = ctx.saved_tensors
        return parts * (upstream * ctx.sharpness / total)[:, None], None, None, None


def softplus(values: Float[Tensor, "*shape"], *, sharpness: float) -> Float[Tensor, "*shape"]:
    """Return log(1 + exp(sharpness * value)) / sharpness."""
    return torch.nn.functional.softplus(values, beta=sharpness)
