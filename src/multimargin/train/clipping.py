"""The bound on the joint norm of all gradients, sparse ones too."""

import torch
from torch import Tensor


def gradient_values(parameters: list[Tensor]) -> list[Tensor]:
    """Return the gradients there are; of a sparse one, which is coalesced first, the values it holds."""
    values = []
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is None:
            continue
        if gradient.is_sparse:
            parameter.grad = gradient = gradient.coalesce()  # a coalesced one shares its values, so scaling them counts
            gradient = gradient.values()
        values.append(gradient)
    return values


def joint_norm(values: list[Tensor]) -> Tensor:
    """Return the norm of all values together, float64."""
    norms = [torch.linalg.vector_norm(value, dtype=torch.float64) for value in values]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total


def clip_global_norm(parameters: list[Tensor], bound: float) -> None:
    """Scale all gradients, sparse ones too, so that their joint norm is at most ``bound`` (as ``clip_grad_norm_``)."""
    values = gradient_values(parameters)
    if not values:
        return
    factor = (bound / (joint_norm(values) + 1e-6)).clamp(max=1.0)
    for value in values:
        value.mul_(factor.to(value.dtype))
