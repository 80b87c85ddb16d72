"""The definition, in plain PyTorch, each bag padded to the longest."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def attention_pooling(
    queries: Float[Tensor, "B D"],
    keys: Float[Tensor, "S D"],
    values: Float[Tensor, "S E"],
    places: Int[Tensor, " L"],
    starts: Int[Tensor, " B"],
) -> Float[Tensor, "B E"]:
    """Return what the package says."""
    if not len(places):
        return values.new_zeros((len(queries), values.shape[1])) + 0 * (queries.sum() + keys.sum() + values.sum())
    sizes = torch.diff(starts, append=starts.new_tensor([len(places)]))  # (B,)
    real = torch.arange(int(sizes.max()), device=places.device) < sizes[:, None]  # (B, longest)
    padded = torch.zeros_like(real, dtype=torch.int64)
    padded[real] = places
    scores = torch.einsum("bd,bld->bl", queries, keys[padded])
    weights = torch.softmax(scores.masked_fill(~real, -torch.inf), dim=1)
    weights = torch.where(real, weights, 0)  # an empty bag's are nan
    return torch.einsum("bl,ble->be", weights, values[padded])
