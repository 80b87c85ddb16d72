"""What a trained graph says of one more row: so that a user who was not in training gets a vector."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multimargin.encoders.fold_in import Array, FoldIn
from multimargin.encoders.pooling import mean_direction
from multimargin.kernels.propagation import Graph, propagate


@dataclass(frozen=True, eq=False)
class GraphRow(FoldIn):
    r"""The row that a user of these items has in the trained graph.

    .. math:: t_u = w_0\, e_u + \frac{1}{\sqrt{|H_u|}} \sum_{i \in H_u} z_i, \qquad
        z_i = \frac{1}{\sqrt{d_i}} \sum_{l=1}^{L} w_l\, E_i^{(l-1)}

    What the layers bring is exactly what they bring to a user in training with the same items; items' layers stay as
    trained. In place of :math:`e_u`, which only training gives, stands the mean direction of the items, at the median
    length of the users' vectors in layer 0.

    Args:
        sent: (I, D) z.
        own: w_0 times the median length.
    """

    kind = "graph"

    sent: Array
    own: float

    @classmethod
    def of(cls, graph: Graph, user_table: Tensor, item_table: Tensor, weights: tuple[float, ...]) -> "GraphRow":
        """Return what the layers of ``weights``, layer 0 first, send to a user."""
        scale = torch.from_numpy(graph.items.scale).to(item_table.device)[:, None]
        sent = torch.zeros_like(item_table)
        with torch.no_grad():
            if len(weights) > 1:
                sent = propagate(graph, user_table.detach(), item_table.detach(), weights[1:])[1] * scale
            length = float(user_table.norm(dim=-1).median()) if weights[0] else 0.0
        return cls(sent.float().cpu().numpy(), weights[0] * length)

    def vector(self, items: NDArray[np.integer[Any]], vectors: Array) -> Array:
        """Return (D,) for a user who touched ``items``; a repeated item counts once, as it does in a graph."""
        distinct, first = np.unique(items, return_index=True)
        row = self.sent[distinct].sum(0, dtype=np.float64) / len(distinct) ** 0.5
        found: Array = (row + self.own * mean_direction(vectors[first])).astype(np.float32)
        return found
