"""Blocks of causal attention over packed windows: padding is seen by the attention alone, and looked at by nobody."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear, scaled_dot_product_attention

Drop = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Group:
    """Neighbouring windows of similar sizes, which are padded to one size.

    Args:
        rows: their places, all together.
        windows: how many they are.
        longest: the size they are padded to, at the end.
        where: (rows,) each place's place once they are padded; None: they are all of one size.
    """

    rows: int
    windows: int
    longest: int
    where: Int[Tensor, " rows"] | None


def grouped(sizes: NDArray[np.int64], device: torch.device) -> Collection[Group]:
    """Return groups of windows of increasing ``sizes``, none more than 1.5 times as long as another of its group."""
    groups: list[Group] = []
    start = 0
    while start < len(sizes):
        stop = int(np.searchsorted(sizes, int(sizes[start] * 1.5) + 1, side="left"))
        if sizes[start] < sizes[-1]:  # the longest are many, and by themselves need no padding
            stop = min(stop, int(np.searchsorted(sizes, sizes[-1])))
        part, longest = sizes[start:stop], int(sizes[stop - 1])
        rows, where = int(part.sum()), None
        if part[0] < longest:
            skipped = np.repeat(np.arange(len(part)) * longest - (np.cumsum(part) - part), part)
            where = torch.from_numpy(skipped + np.arange(rows)).to(device)
        groups.append(Group(rows, len(part), longest, where))
        start = stop
    return groups


class CausalBlock(nn.Module):
    r"""Attention to what came before, then two layers for each place; both are added to what goes in.

    .. math:: x \leftarrow x + \mathrm{drop}(W_o\, \mathrm{attention}(\mathrm{norm}(x))), \qquad
        x \leftarrow x + \mathrm{drop}(W_2\, \mathrm{relu}(W_1 \mathrm{norm}(x) + b_1) + b_2)

    Args:
        dim: D, a multiple of ``n_heads``.
        inner_dim: size of the layer between, 1 or more.
        n_heads: heads of the attention, 1 or more.
        rng: what matrices are drawn from, uniformly in +- 1 / sqrt(inputs).
    """

    def __init__(self, dim: int, inner_dim: int, n_heads: int, *, rng: np.random.Generator):
        super().__init__()
        self.n_heads = n_heads
        self.norm_1, self.norm_2 = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.ones(dim))
        self.shift_1, self.shift_2 = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(dim))
        self.asked_and_held = _uniform(rng, 3 * dim, dim)  # queries, keys, values
        self.out = _uniform(rng, dim, dim)
        self.inner, self.inner_bias = _uniform(rng, inner_dim, dim), nn.Parameter(torch.zeros(inner_dim))
        self.outer, self.outer_bias = _uniform(rng, dim, inner_dim), nn.Parameter(torch.zeros(dim))

    def forward(self, x: Float[Tensor, "P D"], groups: Collection[Group], drop: Drop) -> Float[Tensor, "P D"]:
        """Return the places with what they found in earlier places of their windows."""
        shape = x.shape[1:]
        seen = self._attention(layer_norm(x, shape, self.norm_1, self.shift_1), groups)
        x = x + drop(linear(seen, self.out))
        inner = linear(layer_norm(x, shape, self.norm_2, self.shift_2), self.inner, self.inner_bias).relu()
        return x + drop(linear(inner, self.outer, self.outer_bias))

    def _attention(self, x: Float[Tensor, "P D"], groups: Collection[Group]) -> Float[Tensor, "P D"]:
        mixed = linear(x, self.asked_and_held)  # (P, 3D)
        results = []
        for group, part in zip(groups, torch.split(mixed, [each.rows for each in groups]), strict=True):
            # padding stands behind all real places, so the causal mask keeps it from them
            padded = part
            if group.where is not None:
                padded = part.new_zeros(group.windows * group.longest, mixed.shape[1]).index_copy(0, group.where, part)
            q, k, v = padded.view(group.windows, group.longest, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
            found = scaled_dot_product_attention(q, k, v, is_causal=True)  # (W, heads, T, D / heads)
            flat = found.transpose(1, 2).reshape(-1, x.shape[1])
            results.append(flat if group.where is None else flat.index_select(0, group.where))
        return torch.cat(results)


def _uniform(rng: np.random.Generator, *shape: int) -> nn.Parameter:
    bound = shape[-1] ** -0.5
    values: NDArray[np.float32] = rng.uniform(-bound, bound, shape).astype(np.float32)
    return nn.Parameter(torch.from_numpy(values))
