"""The definition, in plain PyTorch: gather, normalise, one product."""

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize


def shared_scores(
    user_table: Float[Tensor, "U D"],
    item_table: Float[Tensor, "I D"],
    users: Int[Tensor, " B"],
    positives: Int[Tensor, " B"],
    pool: Int[Tensor, " N"],
    *,
    similarity: Literal["cosine", "dot"],
    query_scale: Float[Tensor, "B D"] | None = None,
) -> tuple[Float[Tensor, " B"], Float[Tensor, "B N"]]:
    """Return the scores of positives (B,) and of each user with the whole pool (B, N); else as ``sampled_scores``."""
    queries, positive, negative = user_table[users], item_table[positives], item_table[pool]
    if similarity == "cosine":
        queries, positive, negative = (normalize(each, dim=-1, eps=1e-12) for each in (queries, positive, negative))
    if query_scale is not None:
        queries = queries * query_scale  # (B, D)
    return (queries * positive).sum(-1), queries @ negative.T  # (B,), (B, N)
