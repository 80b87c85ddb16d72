"""Attention over bags of different sizes: each query's weighted sum of what is in its bag.

Contract: ``attention_pooling(...)`` equals ``reference.attention_pooling(...)``, values and gradients, without
allocating anything (L, D) or (B, longest bag): a bag costs what it holds.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from multimargin import checks

__all__ = ["attention_pooling"]


def attention_pooling(
    queries: Float[Tensor, "B D"],
    keys: Float[Tensor, "S D"],
    values: Float[Tensor, "S E"],
    places: Int[Tensor, " L"],
    starts: Int[Tensor, " B"],
    *,
    impl: Literal["auto", "cpu", "reference"] = "auto",
) -> Float[Tensor, "B E"]:
    """Return, for each bag, the mean of its values weighted by the softmax of query times key; 0 for an empty bag.

    Args:
        queries: (B, D), one for each bag.
        keys: (S, D).
        values: (S, E).
        places: (L,) int64 rows of keys and values, bag after bag; an entry may be in many bags, and more than once.
        starts: (B,) int64 where each bag begins in ``places``, not decreasing, the first 0; a bag ends where the next
            begins.
        impl: "cpu" (numba, float32), "reference" (PyTorch, any device and dtype), or "auto": "cpu" where it can run.

    Raises:
        ArgumentError: an unknown ``impl``, or "cpu" with what is not float32 on the CPU.
    """
    checks.choice("impl", impl, ("auto", "cpu", "reference"))
    on_cpu = all(each.device.type == "cpu" and each.dtype == torch.float32 for each in (queries, keys, values))
    if impl == "cpu" and not on_cpu:
        found = [(str(each.device), str(each.dtype)) for each in (queries, keys, values)]
        checks.fail("tensors", "be float32 on the CPU for impl='cpu'", found, "Use impl='auto'.")
    if impl == "reference" or not on_cpu:
        from multimargin.kernels.attention_pooling import reference

        return reference.attention_pooling(queries, keys, values, places, starts)
    from multimargin.kernels.attention_pooling import cpu

    return cpu.attention_pooling(queries, keys, values, places, starts)
