"""The definition, in ``torch.sparse``; any device and dtype, with gradients by autograd."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from multimargin.kernels.draws import bits_reference
from multimargin.kernels.propagation.graph import Graph

if TYPE_CHECKING:
    from multimargin.kernels.propagation import Noise


def propagate(graph: Graph, user_table: Tensor, item_table: Tensor, weights: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return T."""
    layers = _layers(graph, user_table, item_table, len(weights) - 1, None)
    return _weighted(layers, weights)


def propagate_rows(
    graph: Graph,
    user_table: Tensor,
    item_table: Tensor,
    users: Tensor,
    items: Tensor,
    weights: Sequence[float],
    kept: Sequence[int],
    noise: "Noise | None",
) -> list[tuple[Tensor, Tensor]]:
    """Return rows of T, and of the layers ``kept``."""
    layers = _layers(graph, user_table, item_table, len(weights) - 1, noise)
    chosen = [_weighted(layers, weights), *(layers[layer] for layer in kept)]
    return [(user_side[users], item_side[items]) for user_side, item_side in chosen]


def _layers(graph: Graph, users: Tensor, items: Tensor, n: int, noise: "Noise | None") -> list[tuple[Tensor, Tensor]]:
    matrix = graph.matrix(users)
    turned = matrix.t()
    layers = [(users, items)]
    for layer in range(1, n + 1):
        users, items = torch.sparse.mm(matrix, items), torch.sparse.mm(turned, users)
        if noise is not None:
            moved = torch.cat((users, items)).detach()
            moved = moved.sign() * noise.size * _directions(noise.key, layer, moved)
            users, items = users + moved[: len(users)], items + moved[len(users) :]
        layers.append((users, items))
    return layers


def _directions(key: int, layer: int, like: Tensor) -> Tensor:
    """Return rows of length 1: number ``((layer - 1) * rows + row) * D' + k`` of the stream is entries 2k and 2k + 1.

    D' is D / 2 rounded up; an entry is the lower, then the higher 32 bits, 24 of them over 2**24.
    """
    rows, dim = like.shape
    half = (dim + 1) // 2
    counters = np.uint64((layer - 1) * rows * half) + np.arange(rows * half, dtype=np.uint64)
    both = bits_reference(key, counters).reshape(rows, half, 1)
    parts = np.concatenate((both & np.uint64(0xFFFFFFFF), both >> np.uint64(32)), axis=2) >> np.uint64(8)
    uniform = (parts.reshape(rows, 2 * half)[:, :dim] / 2.0**24).astype(np.float64)
    return torch.from_numpy(uniform / np.linalg.norm(uniform, axis=1, keepdims=True).clip(1e-12)).to(like)


def _weighted(layers: Sequence[tuple[Tensor, Tensor]], weights: Sequence[float]) -> tuple[Tensor, Tensor]:
    users, items = (sum(w * layer[side] for w, layer in zip(weights, layers, strict=True)) for side in (0, 1))
    assert isinstance(users, Tensor)
    assert isinstance(items, Tensor)
    return users, items
