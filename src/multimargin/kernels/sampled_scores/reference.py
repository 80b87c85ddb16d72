"""The definition, in plain PyTorch: gather, normalise, multiply. Allocates (B, N, D)."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from multimargin.kernels.shared_scores import reference as shared


def sampled_scores(
    user_table: Float[Tensor, "U D"],
    item_table: Float[Tensor, "I D"],
    users: Int[Tensor, " B"],
    positives: Int[Tensor, " B"],
    negatives: Int[Tensor, "B N"] | Int[Tensor, " N"],
    *,
    similarity: Literal["cosine", "dot"],
    query_scale: Float[Tensor, "B D"] | None = None,
) -> tuple[Float[Tensor, " B"], Float[Tensor, "B N"]]:
    """Return the scores of positives (B,) and negatives (B, N); arguments as in the package."""
    if negatives.dim() == 1:
        return shared.shared_scores(
            user_table, item_table, users, positives, negatives, similarity=similarity, query_scale=query_scale
        )
    queries, positive, negative = user_table[users], item_table[positives], item_table[negatives]
    if similarity == "cosine":
        queries, positive, negative = (normalize(each, dim=-1, eps=1e-12) for each in (queries, positive, negative))
    if query_scale is not None:
        queries = queries * query_scale  # (B, D)
    pos_scores = (queries * positive).sum(-1)  # (B,)
    return pos_scores, torch.bmm(negative, queries[:, :, None]).squeeze(-1)  # (B, N)
