"""Reductions over the negatives of a row that several losses share."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from multimargin.kernels import smooth_maxima


def log_mean_exp(
    values: Float[Tensor, "B N"],
    mask: Bool[Tensor, "B N"] | None,
    *,
    sharpness: float = 1.0,
    log_q: Float[Tensor, "B N"] | None = None,
    empty: float,
) -> Float[Tensor, " B"]:
    r"""Return the logarithm of the mean of exp(sharpness * value) over the negatives that count, without overflow.

    With ``log_q`` each counts :math:`1 / q` times, and the mean is one over those weights: it estimates the mean over
    the catalogue from draws of any law, and adding a constant to ``log_q`` changes nothing.

    Args:
        values: (B, N) scores or logits.
        mask: (B, N) true where one counts; None: all.
        sharpness: what values are multiplied by, 1 / temperature; at no cost.
        log_q: (B, N) log-probability of each draw; None: all alike.
        empty: the value of a row in which none counts; such a row has no gradient.
    """
    if log_q is None:
        return smooth_maxima.log_mean_exp(values, mask, sharpness=sharpness, empty=empty)
    total = smooth_maxima.log_mean_exp(sharpness * values - log_q, mask, empty=empty)  # (B,)
    return total - smooth_maxima.log_mean_exp(-log_q.to(values.dtype), mask)  # less that of the weights; 0 if none


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
