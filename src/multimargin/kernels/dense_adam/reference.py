"""The definition, in PyTorch; any device and dtype."""

from torch import Tensor


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
    """Move ``parameter`` and its moments in place."""
    first.lerp_(gradient, 1 - betas[0])
    second.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    parameter.addcdiv_(first, second.sqrt().add_(eps), value=-rate)
