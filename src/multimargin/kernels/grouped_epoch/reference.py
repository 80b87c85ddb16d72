"""The definition of a batch's loss, in plain PyTorch: every user of the batch against every item. Allocates (G, I)."""

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
    positive_slope: float,
    margins: tuple[float, ...],
    slopes: tuple[float, ...],
    similarity: Literal["cosine", "dot"],
    query_scale: Float[Tensor, "G D"] | None = None,
    exclude_seen: bool = False,
) -> Float[Tensor, ""]:
    """Return the mean over B interactions of the positive's hinge and the mean hinge over all items.

    Args:
        user_table: (U, D).
        item_table: (I, D).
        users: (G,) the batch's users, each once.
        owners: (B,) place in ``users`` of each interaction.
        positives: (B,) its item. With all of each user's interactions these are the items seen.
        positive_slope: p of ``losses.base.Hinges``.
        margins: (M,).
        slopes: (M,).
        similarity: "cosine" or "dot".
        query_scale: (G, D) multiplied onto the (normalised) user vectors.
        exclude_seen: take the mean over the items that the user has not seen.
    """
    queries, items = user_table[users], item_table
    if similarity == "cosine":
        queries, items = (normalize(each, dim=-1, eps=1e-12) for each in (queries, items))
    if query_scale is not None:
        queries = queries * query_scale
    scores = queries @ items.T  # (G, I)
    pull = positive_slope * (1 - scores[owners, positives]).relu()  # (B,)
    push = sum((slope * (scores - margin).relu() for margin, slope in zip(margins, slopes, strict=True)), 0 * scores)
    counted = torch.ones_like(scores)
    if exclude_seen:
        counted[owners, positives] = 0
    mean = (push * counted).sum(1) / counted.sum(1)  # (G,)
    return (pull + mean[owners]).mean()
