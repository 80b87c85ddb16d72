"""Products of each row's query with rows of a table picked by index, without holding the picked rows."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

_ELEMENTS = 1 << 22  # of picked rows that are held at a time


def indexed_products(
    queries: Float[Tensor, "B A"], table: Float[Tensor, "I A"], index: Int[Tensor, "B N"]
) -> Float[Tensor, "B N"]:
    """Return (B, N) inner products of query b with table[index[b, n]]; gradients to both, dense ones to the table."""
    result: Tensor = _IndexedProducts.apply(queries, table, index)  # type: ignore[no-untyped-call]
    return result


def _rows_at_a_time(index: Tensor, width: int) -> int:
    return max(1, _ELEMENTS // max(1, index.shape[1] * width))


class _IndexedProducts(torch.autograd.Function):
    """Picked rows are gathered for a few rows of the batch at a time, and again on the way back."""

    @staticmethod
    def forward(queries: Tensor, table: Tensor, index: Tensor) -> Tensor:
        rows = _rows_at_a_time(index, queries.shape[1])
        parts = zip(torch.split(queries, rows), torch.split(index, rows), strict=True)
        return torch.cat([torch.einsum("ba,bna->bn", q, table[j]) for q, j in parts])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None]:
        queries, table, index = ctx.saved_tensors
        rows = _rows_at_a_time(index, queries.shape[1])
        to_queries, to_table = [], torch.zeros_like(table)
        parts = (torch.split(each, rows) for each in (queries, index, grad_outputs[0]))
        for q, j, g in zip(*parts, strict=True):
            to_queries.append(torch.einsum("bn,bna->ba", g, table[j]))
            to_table.index_add_(0, j.flatten(), (g[:, :, None] * q[:, None, :]).flatten(0, 1))
        return torch.cat(to_queries), to_table, None
