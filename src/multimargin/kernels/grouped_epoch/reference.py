"""The definition of a batch's loss, in plain PyTorch: every user of the batch against every item. Allocates (B, I)."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize


def batch_loss(
    user_table: Float[Tensor, "U D"],
    item_table: Float[Tensor, "I D"],
    users: Int[Tensor, " G"],
    owners: Int[Tensor, " B"],
    positives: Int[Tensor, " B"],
    *,
    loss: Callable[..., Tensor],
    similarity: Literal["cosine", "dot"],
    query_scale: Float[Tensor, "G D"] | None = None,
    exclude_seen: bool = False,
) -> Float[Tensor, ""]:
    """Return the loss of B interactions, all items their negatives.

    Args:
        user_table: (U, D).
        item_table: (I, D).
        users: (G,) the batch's users, each once.
        owners: (B,) place in ``users`` of each interaction.
        positives: (B,) its item. With all of each user's interactions these are the items seen.
        loss: of scores (B,) and (B, I), with a mask (B, I) of those that count.
        similarity: "cosine" or "dot".
        query_scale: (G, D) multiplied onto the (normalised) user vectors.
        exclude_seen: only the items that the user has not seen count.
    """
    queries, items = user_table[users], item_table
    if similarity == "cosine":
        queries, items = (normalize(each, dim=-1, eps=1e-12) for each in (queries, items))
    if query_scale is not None:
        queries = queries * query_scale
    scores = queries @ items.T  # (G, I)
    counted = torch.ones_like(scores, dtype=torch.bool)
    if exclude_seen:
        counted[owners, positives] = False
    result: Tensor = loss(scores[owners, positives], scores[owners], mask=counted[owners])
    return result
