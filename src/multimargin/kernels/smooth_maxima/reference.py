"""The definition, in PyTorch."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def log_sum_exp(values: Float[Tensor, "B N"], mask: Bool[Tensor, "B N"] | None) -> Float[Tensor, " B"]:
    """Return the logarithm of the sum of exp(value) over each row's entries that count; 0 where none does.

    With a mask one matrix is kept for the gradient; PyTorch's own ``where`` and ``logsumexp`` keep and make several.
    """
    result: Tensor = values.logsumexp(-1) if mask is None else _LogSumExp.apply(values, mask)  # type: ignore[no-untyped-call]
    return result


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, mask: Tensor) -> Tensor:
        parts = values.masked_fill(~mask, -torch.inf)  # (B, N)
        top = parts.amax(-1) if parts.shape[-1] else parts.new_full(parts.shape[:1], -torch.inf)  # (B,)
        some = top > -torch.inf
        parts.sub_(torch.where(some, top, 0.0)[:, None]).exp_()
        total = torch.where(some, parts.sum(-1), 1.0)
        ctx.save_for_backward(parts, total)
        return torch.where(some, top + total.log(), 0.0)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        parts, total = ctx.saved_tensors
        return parts * (upstream / total)[:, None], None


def softplus(values: Float[Tensor, "*shape"], *, sharpness: float) -> Float[Tensor, "*shape"]:
    """Return log(1 + exp(sharpness * value)) / sharpness."""
    return torch.nn.functional.softplus(values, beta=sharpness)
