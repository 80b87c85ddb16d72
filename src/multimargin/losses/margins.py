"""Margins and their weights, checked, and the sum of hinges that the Multi-Margin Loss and its kin are made of."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from multimargin import checks


def margin_tensors(margins: Any, margin_weights: Any) -> tuple[Float[Tensor, " M"], Float[Tensor, " M"]]:
    """Return margins and weights, checked."""
    at = checks.increasing("margins", margins, sort_alike="margin_weights")
    slopes = checks.numbers("margin_weights", margin_weights)
    if len(slopes) != len(at):
        checks.fail("margin_weights", "hold one number per margin", slopes, f"The margins are {at}.")
    for position, slope in enumerate(slopes):
        checks.not_negative(f"margin_weights[{position}]", slope)
    return torch.tensor(at), torch.tensor(slopes)


def margins_shown(margins: Float[Tensor, " M"], margin_weights: Float[Tensor, " M"]) -> str:
    """Return both as ``repr`` has them."""
    return ", ".join(
        "(" + ", ".join(f"{each:g}" for each in values.tolist()) + ")" for values in (margins, margin_weights)
    )


def multi_margin_hinge(
    scores: Float[Tensor, "B N"], margins: Float[Tensor, " M"], margin_weights: Float[Tensor, " M"]
) -> Float[Tensor, "B N"]:
    """Return f(s) = sum_k a_k [s - m_k]+ of each score, (B, N)."""
    result: Tensor = _MultiMarginHinge.apply(scores, margins, margin_weights)  # type: ignore[no-untyped-call]
    return result


class _MultiMarginHinge(torch.autograd.Function):
    """f'(s) = sum_{k: s > m_k} a_k is recomputed from s; the same loop left to autograd keeps M arrays of (B, N)."""

    @staticmethod
    def forward(scores: Tensor, margins: Tensor, margin_weights: Tensor) -> Tensor:
        total = torch.zeros_like(scores)  # (B, N)
        for margin, weight in zip(margins.unbind(), margin_weights.unbind(), strict=True):
            total.add_((scores - margin).relu_().mul_(weight))
        return total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        scores, margins, margin_weights = ctx.saved_tensors
        slope = torch.zeros_like(scores)  # (B, N)
        for margin, weight in zip(margins.unbind(), margin_weights.unbind(), strict=True):
            slope.add_((scores > margin) * weight)  # strictly above: 0 at the hinge itself
        return slope * grad_outputs[0], None, None
