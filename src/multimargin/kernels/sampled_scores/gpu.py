r"""The form for GPUs, in Triton: a tile of items per program, gradients only where the upstream one is not exactly 0.

Forward. With u, v raw rows, q = scale * u/|u| (cosine) or scale * u (dot), and r_v = 1/|v| or 1:

    s = r_v (q . v)

Backward. Normalising is linear in the gradient for a given row, so gradients of a row are summed first and taken
through it once. For upstream gradients g (B, 1+N):

    x_b = scale_b * sum over k of g_bk r_v v,     dL/du = through(u, sum of x_b over the rows b of the user)
                                                  dL/dv = through(v, sum of g q over the pairs of the item)
    through(w, t) = (t - (t . w^) w^) / |w|       [dot: t],     w^ = w/|w|

Pairs with g = 0 are left out, the others sorted by item, in the order of the batch within one: every sum has one owner
and a fixed order, there are no atomics, and block sizes depend on D and N alone, so that a result repeats to the bit on
one device. Tables may be float32, bfloat16 or float16, in any layout; everything is computed in float32, gradients are
rounded when they are stored. Saved: queries (B, D), indices (B, 1+N). Memory: O(B (N + D) + touched rows * D).

Imported only where it is used, since Triton exists on few machines. With TRITON_INTERPRET=1, set before Triton is first
imported, it runs on the CPU, slowly, which is how it is tested without a GPU.
"""

from typing import Any, Literal

import torch
import triton
import triton.language as tl
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_TINY = tl.constexpr(1e-12)  # the smallest norm torch.nn.functional.normalize divides by
_TILE = 4096  # entries of the (rows, D) tile a program holds at a time
_SEGMENT = 16  # rows of a segment read together; most segments are shorter


@triton.jit
def _inverse_norms(rows, AXIS: tl.constexpr):
    """Return 1 / max(|row|, 1e-12) along ``AXIS``, rounded as IEEE asks: the fast forms are off by some units."""
    norms = tl.sqrt_rn(tl.sum(rows * rows, axis=AXIS))
    return tl.div_rn(tl.full(norms.shape, 1.0, tl.float32), tl.maximum(norms, _TINY))


@triton.jit
def _score(
    user_table, user_row, user_column, item_table, item_row, item_column, users, items, scale, queries, scores,
    width, dim, tiles, COSINE: tl.constexpr, SCALED: tl.constexpr, K: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Score tile ``program % tiles`` of ``items`` (B, width), the positive first, of row ``program // tiles``."""
    program = tl.program_id(0).to(tl.int64)
    b, tile = program // tiles, program % tiles
    d = tl.arange(0, D)
    inside = d < dim
    # 1. the query; every program of a row computes it, one keeps it
    q = tl.load(user_table + tl.load(users + b) * user_row + d * user_column, mask=inside, other=0).to(tl.float32)
    if COSINE:
        q *= _inverse_norms(q, 0)
    if SCALED:
        q *= tl.load(scale + b * dim + d, mask=inside, other=0).to(tl.float32)
    tl.store(queries + b * dim + d, q, mask=inside & (tile == 0))
    # 2. its items
    k = tile * K + tl.arange(0, K)
    there = k < width
    item = tl.load(items + b * width + k, mask=there, other=0)  # (K,)
    at = item[:, None] * item_row + d[None, :] * item_column
    v = tl.load(item_table + at, mask=there[:, None] & inside[None, :], other=0).to(tl.float32)  # (K, D)
    s = tl.sum(q[None, :] * v, axis=1)
    if COSINE:
        s *= _inverse_norms(v, 1)
    tl.store(scores + b * width + k, s, mask=there)


@triton.jit
def _gradient_of_queries(
    item_table, item_row, item_column, items, upstream, scale, result,
    width, dim, COSINE: tl.constexpr, SCALED: tl.constexpr, K: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Fill x_b of row ``program``; rows of items whose g is 0 are not read."""
    b = tl.program_id(0).to(tl.int64)
    d = tl.arange(0, D)
    inside = d < dim
    x = tl.zeros((D,), tl.float32)
    for first in range(0, width, K):
        k = first + tl.arange(0, K)
        g = tl.load(upstream + b * width + k, mask=k < width, other=0).to(tl.float32)  # (K,)
        active = g != 0
        item = tl.load(items + b * width + k, mask=active, other=0)
        at = item[:, None] * item_row + d[None, :] * item_column
        v = tl.load(item_table + at, mask=active[:, None] & inside[None, :], other=0).to(tl.float32)  # (K, D)
        if COSINE:
            g *= _inverse_norms(v, 1)
        x += tl.sum(g[:, None] * v, axis=0)
    if SCALED:
        x *= tl.load(scale + b * dim + d, mask=inside, other=0).to(tl.float32)
    tl.store(result + b * dim + d, x, mask=inside)


@triton.jit
def _gradient_of_rows(
    table, table_row, table_column, touched, starts, source, weights, vectors, result,
    dim, COSINE: tl.constexpr, K: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Fill row ``program``: the sum of ``weights[p] * vectors[source[p]]`` over its segment, through normalisation."""
    row = tl.program_id(0).to(tl.int64)
    d = tl.arange(0, D)
    inside = d < dim
    # 1. the sum, in the order of the segment
    total = tl.zeros((D,), tl.float32)
    stop = tl.load(starts + row + 1)
    for first in range(tl.load(starts + row), stop, K):
        p = first + tl.arange(0, K)
        there = p < stop
        weight = tl.load(weights + p, mask=there, other=0).to(tl.float32)  # (K,)
        at = tl.load(source + p, mask=there, other=0)[:, None] * dim + d[None, :]
        vector = tl.load(vectors + at, mask=there[:, None] & inside[None, :], other=0)  # (K, D)
        total += tl.sum(weight[:, None] * vector, axis=0)
    # 2. minus what lies along the row's own vector
    if COSINE:
        at = tl.load(touched + row) * table_row + d * table_column
        w = tl.load(table + at, mask=inside, other=0).to(tl.float32)
        inverse = _inverse_norms(w, 0)
        total = (total - tl.sum(total * w, axis=0) * inverse * inverse * w) * inverse
    tl.store(result + row * dim + d, total, mask=inside)


INTERPRETED = not isinstance(_score, triton.JITFunction)


def _launch(kernel: Any, programs: int, table: Tensor, *arguments: Any, **blocks: Any) -> None:
    """Run ``programs`` of ``kernel`` on the device of ``table``, which need not be the current one."""
    if programs:
        with torch.cuda.device_of(table):
            kernel[(programs,)](table, *table.stride(), *arguments, **blocks)


def _blocks(dim: int, rows: int) -> dict[str, int]:
    """Return the tile, powers of two: D columns hold a row, K rows are read together, no more than there are."""
    columns = triton.next_power_of_2(dim)
    return {"D": columns, "K": min(max(_TILE // columns, 1), triton.next_power_of_2(rows))}


class _SampledScores(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        user_table: Tensor,
        item_table: Tensor,
        users: Tensor,
        items: Tensor,
        cosine: bool,
        scale: Tensor | None,
        sparse: bool,
    ) -> Tensor:
        """Return scores (B, 1+N)."""
        (batch, width), dim = items.shape, user_table.shape[1]
        queries = user_table.new_empty((batch, dim), dtype=torch.float32)
        scores = user_table.new_empty((batch, width))
        blocks = _blocks(dim, width)
        tiles = triton.cdiv(width, blocks["K"])
        _launch(
            _score, batch * tiles, user_table, item_table, *item_table.stride(), users, items, scale, queries, scores,
            width, dim, tiles, COSINE=cosine, SCALED=scale is not None, **blocks,
        )  # fmt: skip
        ctx.save_for_backward(user_table, item_table, users, items, scale, queries)
        ctx.rest = (cosine, sparse)
        return scores

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Return the gradients of both tables, sparse or dense."""
        user_table, item_table, users, items, scale, queries = ctx.saved_tensors
        cosine, sparse = ctx.rest
        g = upstream.contiguous()
        (batch, width), dim = items.shape, user_table.shape[1]
        user_gradient = item_gradient = None
        if ctx.needs_input_grad[0]:
            rows = torch.empty_like(queries)
            _launch(
                _gradient_of_queries, batch, item_table, items, g, scale, rows,
                width, dim, COSINE=cosine, SCALED=scale is not None, **_blocks(dim, width),
            )  # fmt: skip
            order = torch.arange(batch, device=users.device)
            user_gradient = _sum_by_row(user_table, users, order, g.new_ones(batch), rows, cosine, sparse)
        if ctx.needs_input_grad[1]:
            g = g.flatten()
            pairs = g.nonzero()[:, 0]  # (active,)
            index = items.flatten()[pairs]
            item_gradient = _sum_by_row(item_table, index, pairs // width, g[pairs], queries, cosine, sparse)
        return user_gradient, item_gradient, None, None, None, None, None


def _sum_by_row(
    table: Tensor, index: Tensor, source: Tensor, weights: Tensor, vectors: Tensor, cosine: bool, sparse: bool
) -> Tensor:
    """Return the gradient of ``table``: ``weights[p] * vectors[source[p]]`` summed into row ``index[p]``, for all p."""
    index, order = index.sort(stable=True)
    touched, counts = index.unique_consecutive(return_counts=True)
    starts = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
    found = table.new_empty((len(touched), table.shape[1]))
    _launch(
        _gradient_of_rows, len(touched), table, touched, starts, source[order], weights[order], vectors, found,
        table.shape[1], COSINE=cosine, **_blocks(table.shape[1], _SEGMENT),
    )  # fmt: skip
    if sparse and table.is_leaf:
        return torch.sparse_coo_tensor(touched[None], found, table.shape, is_coalesced=True, check_invariants=False)
    return torch.zeros_like(table).index_copy_(0, touched, found)


def sampled_scores(
    user_table: Tensor,
    item_table: Tensor,
    users: Tensor,
    positives: Tensor,
    negatives: Tensor,
    *,
    similarity: Literal["cosine", "dot"],
    query_scale: Tensor | None,
    sparse: bool,
) -> tuple[Tensor, Tensor]:
    """Return what the reference returns; arguments as in the package."""
    if negatives.dim() == 1:
        negatives = negatives.expand(len(users), -1)
    items = torch.cat((positives[:, None], negatives), dim=1).long()  # (B, 1+N)
    scale = None if query_scale is None else query_scale.contiguous()
    scores = _SampledScores.apply(
        user_table, item_table, users.contiguous().long(), items, similarity == "cosine", scale, sparse
    )  # type: ignore[no-untyped-call]
    return scores[:, 0], scores[:, 1:]
