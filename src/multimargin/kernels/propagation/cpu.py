r"""Products with the graph in compiled code, float32, and only where a step needs them.

Forward: :math:`E^{(l)}` is whole for l < L and made for the rows asked for at L; rows of the weighted sum are collected
on the way. Backward, with G_l the gradient of the collected rows of layer l (w_l times T's, plus that of a kept layer),

.. math:: \frac{\partial}{\partial E} = G_0 + A (G_1 + A (G_2 + \dots A\, G_L))

The innermost product is spread out from the rows that have a gradient, all others are gathered. Every row is summed by
one thread, its neighbours in increasing order, so no result depends on the number of threads. Memory: two pairs of
tables, whatever L.
"""

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multimargin.kernels.draws import bits
from multimargin.kernels.propagation.gathered import LANES, WIDE, sum_lanes, sum_wide
from multimargin.kernels.propagation.graph import Graph, Side
from multimargin.kernels.rows import add_scaled, fetch_row
from multimargin.kernels.team import TOGETHER, run_together, threads_for

if TYPE_CHECKING:
    from multimargin.kernels.propagation import Noise

Pair = tuple[Tensor, Tensor]
_Noise = tuple[float, int, int]  # size, key, number of the first row
_SILENT: _Noise = 0.0, 0, 0
_AHEAD = 8  # neighbours whose rows are asked for before they are added to
_SPARSE = 0.5  # share of all neighbours up to which spreading out pays


@numba.njit(**TOGETHER)
def _gather(
    thread, threads, cells, cuts, rows, compact, first, degree, neighbours, row_scale, scale, table, noise, key, number,
    out,
):  # fmt: skip
    """Set ``out``, row by row or by place in ``rows``, to a layer's rows made of the last layer's other side.

    With ``noise`` > 0, row r of this side is number ``number + r`` of the noise's rows.
    """
    dim = table.shape[1]
    half = np.uint64((dim + 1) // 2)
    for p in range(cuts[thread], cuts[thread + 1]):
        r = rows[p]
        o = p if compact else r
        begin, end, column = first[r], first[r] + degree[r], 0
        while column + WIDE <= dim:
            sum_wide(table, column, neighbours, scale, begin, end, out, o * dim + column)  # type: ignore[call-arg]
            column += WIDE
        while column + LANES <= dim:
            sum_lanes(table, column, neighbours, scale, begin, end, out, o * dim + column)  # type: ignore[call-arg]
            column += LANES
        for d in range(column, dim):
            total = np.float32(0)
            for k in range(begin, end):
                total += scale[neighbours[k]] * table[neighbours[k], d]
            out[o, d] = total
        row, s = out[o], row_scale[r]
        for d in range(dim):
            row[d] *= s
        if noise > 0:
            start = np.uint64(number + r) * half
            length = np.float32(0)
            for d in range(dim):
                length += _uniform(key, start, d) ** 2
            step = noise / max(np.sqrt(length), np.float32(1e-12))
            for d in range(dim):
                row[d] += np.sign(row[d]) * step * _uniform(key, start, d)


@numba.njit(inline="always")
def _uniform(key, start, d):
    """Return entry ``d`` of the row whose bits begin at number ``start``, in [0, 1)."""
    both = bits(key, start + np.uint64(d // 2))
    part = (both >> np.uint64(32 * (d % 2))) & np.uint64(0xFFFFFFFF)
    return np.float32(part >> np.uint64(8)) * np.float32(2.0**-24)


@numba.njit(**TOGETHER)
def _spread(
    thread, threads, cells, cuts, rows, first, degree, neighbours, row_scale, scale, values, out
):  # fmt: skip
    """Set ``out`` to the sum of what each of ``rows``, with ``values`` (len(rows), D), gives its neighbours."""
    low, high, dim = cuts[thread], cuts[thread + 1], out.shape[1]
    for j in range(low, high):
        for d in range(dim):
            out[j, d] = np.float32(0)
    for p in range(len(rows)):
        r = rows[p]
        k, end = first[r], first[r] + degree[r]
        stop = end
        while k < stop:  # the first of ours
            middle = (k + stop) // 2
            if neighbours[middle] < low:
                k = middle + 1
            else:
                stop = middle
        while k < end and neighbours[k] < high:
            if k + _AHEAD < end:
                fetch_row(out, np.int64(neighbours[k + _AHEAD]) * dim, dim)
            j = neighbours[k]
            add_scaled(out[j], row_scale[r] * scale[j], values[p])
            k += 1


def _room(rows: int, dim: int) -> Tensor:
    """Return an uninitialised table; NumPy asks the system for large pages, which random rows are read faster from."""
    return torch.from_numpy(np.empty((rows, dim), np.float32))


def _product(own: Side, other: Side, table: Tensor, graph: Graph, noise: _Noise) -> Tensor:
    """Return all rows of ``own``, from ``table``, the other side's."""
    out = _room(len(own.order), table.shape[1])
    threads = threads_for(len(own.neighbours) * table.shape[1])
    cuts = graph.side_cuts(own, threads, ordered=True)
    _run_gather(threads, cuts, own.order, False, own, other, table, noise, out)
    return out


def _product_rows(own: Side, other: Side, table: Tensor, rows: Tensor, noise: _Noise) -> Tensor:
    """Return ``rows`` of ``own``, from ``table``, the other side's."""
    chosen = rows.numpy()
    out = _room(len(chosen), table.shape[1])
    threads = threads_for(int(own.degree[chosen].sum()) * table.shape[1])
    _run_gather(threads, own.cuts(chosen, threads), chosen, True, own, other, table, noise, out)
    return out


def _run_gather(
    threads: int,
    cuts: NDArray[np.int64],
    rows: NDArray[np.int64],
    compact: bool,
    own: Side,
    other: Side,
    table: Tensor,
    noise: _Noise,
    out: Tensor,
) -> None:
    size, key, number = noise
    run_together(
        threads, _gather, cuts, rows, compact, own.first, own.degree, own.neighbours, own.scale, other.scale,
        table.numpy(), np.float32(size), np.uint64(key), number, out.numpy(),
    )  # fmt: skip


def _product_of_sparse(own: Side, other: Side, rows: Tensor, values: Tensor, graph: Graph) -> Tensor:
    """Return all rows of ``own``, from ``values`` (len(rows), D) in ``rows`` of the other side and zeros elsewhere."""
    chosen = rows.numpy()
    work = int(other.degree[chosen].sum())
    if work > _SPARSE * len(other.neighbours):
        whole = torch.zeros(len(other.order), values.shape[1])
        whole[rows] = values
        return _product(own, other, whole, graph, _SILENT)
    out = _room(len(own.order), values.shape[1])
    threads = threads_for(work * values.shape[1])
    run_together(
        threads, _spread, graph.side_cuts(own, threads, ordered=False), chosen, other.first, other.degree,
        other.neighbours, other.scale, own.scale, values.contiguous().numpy(), out.numpy(),
    )  # fmt: skip
    return out


def _both(graph: Graph, tables: Pair, first: _Noise = _SILENT, then: _Noise = _SILENT) -> Pair:
    """Return A times ``tables``."""
    return (
        _product(graph.users, graph.items, tables[1], graph, first),
        _product(graph.items, graph.users, tables[0], graph, then),
    )


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, user_table: Tensor, item_table: Tensor, graph: Graph, weights: tuple[float, ...]
    ) -> Pair:
        ctx.graph, ctx.weights = graph, weights
        return _polynomial(graph, (user_table.contiguous(), item_table.contiguous()), weights)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        users, items = (each.contiguous() for each in upstream)
        return *_polynomial(ctx.graph, (users, items), ctx.weights), None, None


def _polynomial(graph: Graph, tables: Pair, weights: tuple[float, ...]) -> Pair:
    users, items = (table * weights[0] for table in tables)
    for weight in weights[1:]:
        tables = _both(graph, tables)
        if weight:
            users.add_(tables[0], alpha=weight)
            items.add_(tables[1], alpha=weight)
    return users, items


class _PropagateRows(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        user_table: Tensor,
        item_table: Tensor,
        graph: Graph,
        users: Tensor,
        items: Tensor,
        weights: tuple[float, ...],
        kept: tuple[int, ...],
        noise: "Noise | None",
    ) -> tuple[Tensor, ...]:
        ctx.graph, ctx.weights, ctx.kept, ctx.rows = graph, weights, kept, (users, items)
        ctx.dim = user_table.shape[1]
        ctx.set_materialize_grads(False)
        last = len(weights) - 1
        n_rows = len(user_table) + len(item_table)
        tables = user_table.contiguous(), item_table.contiguous()
        collected = tables[0].index_select(0, users), tables[1].index_select(0, items)
        results = [tuple(rows * weights[0] for rows in collected)]
        found = {0: collected}
        for layer in range(1, last + 1):
            size, key = (0.0, 0) if noise is None else noise
            first, then = ((size, key, (layer - 1) * n_rows + start) for start in (0, len(user_table)))
            if layer < last:
                tables = _both(graph, tables, first, then)
                collected = tables[0].index_select(0, users), tables[1].index_select(0, items)
            else:
                collected = (
                    _product_rows(graph.users, graph.items, tables[1], users, first),
                    _product_rows(graph.items, graph.users, tables[0], items, then),
                )
            for total, rows in zip(results[0], collected, strict=True):
                total.add_(rows, alpha=weights[layer])
            found[layer] = collected
        results += [tuple(rows.clone() for rows in found[layer]) for layer in kept]
        return tuple(rows for pair in results for rows in pair)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        graph, rows = ctx.graph, ctx.rows
        last = len(ctx.weights) - 1
        inner = [_collected(upstream, side, last, ctx) for side in (0, 1)]
        if last == 0:
            users, items = (torch.zeros(len(side.order), inner[0].shape[1]) for side in (graph.users, graph.items))
            users[rows[0]], items[rows[1]] = inner
        else:
            users = _product_of_sparse(graph.users, graph.items, rows[1], inner[1], graph)
            items = _product_of_sparse(graph.items, graph.users, rows[0], inner[0], graph)
        for layer in reversed(range(last)):
            if layer < last - 1:
                users, items = _both(graph, (users, items))
            users.index_add_(0, rows[0], _collected(upstream, 0, layer, ctx))
            items.index_add_(0, rows[1], _collected(upstream, 1, layer, ctx))
        return users, items, None, None, None, None, None, None


def _collected(upstream: tuple[Tensor | None, ...], side: int, layer: int, ctx: Any) -> Tensor:
    """Return G_l of one side: the gradient of the rows that were collected from a layer."""
    total, *others = upstream[side::2]
    parts = [(total, ctx.weights[layer])]
    parts += [(each, 1.0) for number, each in zip(ctx.kept, others, strict=True) if number == layer]
    result = torch.zeros(len(ctx.rows[side]), ctx.dim)
    for part, weight in parts:
        if part is not None and weight:
            result.add_(part, alpha=weight)
    return result


def propagate(graph: Graph, user_table: Tensor, item_table: Tensor, weights: tuple[float, ...]) -> Pair:
    """Return T; see the contract."""
    users, items = _Propagate.apply(user_table, item_table, graph, weights)
    return users, items


def propagate_rows(
    graph: Graph,
    user_table: Tensor,
    item_table: Tensor,
    users: Tensor,
    items: Tensor,
    weights: tuple[float, ...],
    kept: tuple[int, ...],
    noise: "Noise | None",
) -> list[Pair]:
    """Return rows of T, and of the layers ``kept``; see the contract."""
    found = _PropagateRows.apply(user_table, item_table, graph, users, items, weights, kept, noise)
    return list(zip(found[::2], found[1::2], strict=True))
