"""Reductions over the negatives of a row that several losses share."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def log_mean_exp(
    values: Float[Tensor, "B N"],
    mask: Bool[Tensor, "B N"] | None,
    *,
    log_q: Float[Tensor, "B N"] | None = None,
    empty: float,
) -> Float[Tensor, " B"]:
    r"""Return the logarithm of the mean of exp(value) over the negatives that count, without overflow.

    With ``log_q`` each counts :math:`1 / q` times, and the mean is one over those weights: it estimates the mean over
    the catalogue from draws of any law, and adding a constant to ``log_q`` changes nothing.

    Args:
        values: (B, N) logits.
        mask: (B, N) true where one counts; None: all.
        log_q: (B, N) log-probability of each draw; None: all alike.
        empty: the value of a row in which none counts; such a row has no gradient.
    """
    if log_q is not None:
        values = values - log_q  # (B, N)
    if mask is None:
        total = values.logsumexp(-1)  # (B,)
        return total - (math.log(values.shape[-1]) if log_q is None else (-log_q).logsumexp(-1))
    count = mask.sum(-1, dtype=torch.int32)  # (B,); int64 takes seven times as long
    total = log_sum_exp(values, mask)  # (B,)
    counted = count.clamp(min=1).to(values.dtype).log()  # (B,)
    weight = counted if log_q is None else log_sum_exp(-log_q.to(values.dtype), mask)
    return torch.where(count > 0, total - weight, empty)


def log_sum_exp(values: Float[Tensor, "B N"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, " B"]:
    """Return the logarithm of the sum of exp(value) where ``mask`` is true; 0 and no gradient for a row without any.

    One matrix is kept for the gradient; PyTorch's own ``where`` and ``logsumexp`` keep and make several.
    """
    result: Tensor = _LogSumExp.apply(values, mask)  # type: ignore[no-untyped-call]
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


def log_mean_exp_by_group(values: Float[Tensor, " B"], groups: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Return, for each row, the logarithm of the mean of exp(value) over the rows of its group, in O(B) memory."""
    order = groups.argsort()
    ranked = groups[order]
    new = torch.cat((ranked.new_zeros(1), (ranked[1:] != ranked[:-1]).to(ranked.dtype)))
    place = torch.zeros_like(groups).scatter(0, order, new.cumsum(0))  # (B,) number of each row's group
    top = torch.full_like(values, -torch.inf).scatter_reduce(0, place, values.detach(), "amax")[place]  # (B,)
    total = torch.zeros_like(values).index_add(0, place, (values - top).exp())[place]
    count = torch.zeros_like(values).index_add(0, place, torch.ones_like(values))[place]
    return top + (total / count).log()
