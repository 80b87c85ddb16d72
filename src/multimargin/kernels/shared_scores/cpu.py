r"""The compiled form: each row of the pool is read and normalised once, all scores are one product of two matrices.

Forward. With q = scale * u/|u| (cosine) or scale * u (dot), v^ = v/|v| or v, Q (B, D) and P (N, D) their rows:

    S = Q P^T

Backward. For upstream gradients g (B,) of the positives, with items p, and G (B, N) of the pool:

    dL/dQ = G P + g p^,    dL/dP = G^T Q,    dL/dp^ = g q,    and each through its normalisation

    x -> (x - (x . v^) v^) / |v|             [dot: x]

The three products are made of tiles (``intrinsics.multiply_tile``) whose sums run in one order, and rows of a table
that occur more than once are summed by one owner in the order of the batch, then of the pool; so no result depends on
the number of threads. (PyTorch's own products would keep a second pool of threads awake, and their last bits depend on
it.) An item all of whose upstream gradients are exactly 0 has no row in the sparse gradient. Saved: Q, P, scores of the
positives, inverse norms. Memory: O(B N + (B + N) D).
"""

from typing import Any, Literal

import numba
import numpy as np
import torch
from torch import Tensor

from multimargin.kernels.intrinsics import TILE_LANES, TILE_ROWS, multiply_tile
from multimargin.kernels.products import add_product
from multimargin.kernels.rows import add_scaled, dot, inverse_norm, through_normalisation
from multimargin.kernels.sampled_scores.cpu import as_gradient
from multimargin.kernels.team import TOGETHER, meet, run_together, share, threads_for

_R, _L = TILE_ROWS, TILE_LANES
_BLOCK = 8 * _R  # queries whose scores are made together


@numba.njit(**TOGETHER)
def _forward(
    thread, threads, cells, user_table, item_table, users, positives, pool, cosine, scale, queries, user_inverse,
    pos_inverse, pos_scores, unit, pool_inverse, panels, tiles, scores,
):  # fmt: skip
    """Score; ``scale`` is (B, D) or (0, 0), ``unit`` (N, D') the pool's rows, ``panels`` (N'/16, D, 16) the same again.

    D' is D and N' is N, padded to a multiple of 16 with zeros.
    """
    dim, n = user_table.shape[1], len(pool)
    # 1. queries and their positives
    first, stop = share(thread, threads, len(users))
    for b in range(first, stop):
        u, q, v = user_table[users[b]], queries[b, :dim], item_table[positives[b]]
        user_inverse[b] = inverse_norm(u) if cosine else np.float32(1)
        for d in range(dim):
            q[d] = u[d] * user_inverse[b]
        if scale.shape[0]:
            for d in range(dim):
                q[d] *= scale[b, d]
        pos_inverse[b] = inverse_norm(v) if cosine else np.float32(1)
        pos_scores[b] = dot(q, v) * pos_inverse[b]
    # 2. the pool
    first, stop = share(thread, threads, len(panels))
    for panel in range(first, stop):
        for lane in range(min(_L, n - panel * _L)):
            j = panel * _L + lane
            v, p = item_table[pool[j]], unit[j]
            pool_inverse[j] = inverse_norm(v) if cosine else np.float32(1)
            for d in range(dim):
                p[d] = v[d] * pool_inverse[j]
            for d in range(dim):
                panels[panel, d, lane] = p[d]
    meet(cells, thread, threads)
    # 3. the product, a block of queries at a time: what is written then lies on few pages
    tile, padded = tiles[thread], queries.shape[1]
    for block in range(0, len(users), _BLOCK):
        for panel in range(first, stop):
            start = panel * _L
            end = min(start + _L, n)
            for b in range(block, min(block + _BLOCK, len(users)), _R):
                rows = min(_R, len(users) - b)
                multiply_tile(queries, b * padded, padded, 1, rows, panels, start * dim, _L, dim, tile)  # type: ignore[call-arg]
                for r in range(rows):  # type: ignore[unreachable]
                    found = scores[b + r, start:end]
                    for lane in range(end - start):
                        found[lane] = tile[r, lane]


@numba.njit(**TOGETHER)
def _backward_users(
    thread, threads, cells, user_table, item_table, users, positives, cosine, scale, user_inverse, pos_inverse, unit,
    pos_upstream, upstream, tiles, slot, rows, result,
):  # fmt: skip
    """Fill ``result`` (touched users, D), zeros so far; ``rows`` (B, D'), zeros too, is room for each row's own."""
    dim, n = user_table.shape[1], upstream.shape[1]
    first, stop = share(thread, threads, len(users))
    # 1. the gradient of the queries
    add_product(first, stop, upstream, n, 1, unit, n, unit.shape[1], tiles[thread], rows)
    for b in range(first, stop):
        x = rows[b, :dim]
        add_scaled(x, pos_upstream[b] * pos_inverse[b], item_table[positives[b]])
        if scale.shape[0]:
            for d in range(dim):
                x[d] *= scale[b, d]
        # 2. through the normalisation
        if cosine:
            through_normalisation(x, user_table[users[b]], user_inverse[b])
    meet(cells, thread, threads)
    # 3. one sum per user, in the order of the batch
    for b in range(len(users)):
        if slot[b] % threads == thread:
            add_scaled(result[slot[b]], np.float32(1), rows[b, :dim])


@numba.njit(**TOGETHER)
def _backward_items(
    thread, threads, cells, item_table, positives, cosine, queries, pos_inverse, pos_scores, unit, pool_inverse,
    pos_upstream, upstream, tiles, pos_slot, pool_slot, rows, result,
):  # fmt: skip
    """Fill ``result`` (touched items, D), zeros so far; slot -1 has no row; ``rows`` (N, D'), zeros too, is room."""
    dim, n = item_table.shape[1], upstream.shape[1]
    # 1. the pool's rows, each through its normalisation
    first, stop = share(thread, threads, n)
    add_product(first, stop, upstream, 1, n, queries, len(positives), queries.shape[1], tiles[thread], rows)
    for j in range(first, stop):
        x, p = rows[j, :dim], unit[j, :dim]
        if cosine:
            along = dot(x, p)
            for d in range(dim):
                x[d] = (x[d] - along * p[d]) * pool_inverse[j]
    meet(cells, thread, threads)
    # 2. one sum per item: of the positives in the order of the batch, then of the pool
    for b in range(len(positives)):
        row = pos_slot[b]
        if row >= 0 and row % threads == thread:
            factor = pos_upstream[b] * pos_inverse[b]
            add_scaled(result[row], factor, queries[b, :dim])
            if cosine:
                add_scaled(result[row], -factor * pos_scores[b] * pos_inverse[b], item_table[positives[b]])
    for j in range(n):
        row = pool_slot[j]
        if row >= 0 and row % threads == thread:
            add_scaled(result[row], np.float32(1), rows[j, :dim])


@numba.njit(**TOGETHER)
def _find_moving(thread, threads, cells, upstream, found):
    """Say in ``found`` (N,), false so far, which columns hold anything but 0."""
    first, stop = share(thread, threads, upstream.shape[1])
    part = found[first:stop]
    for b in range(upstream.shape[0]):
        row = upstream[b, first:stop]
        for k in range(len(row)):
            part[k] |= row[k] != np.float32(0)


def _moving_columns(upstream: Any) -> Any:
    found = np.zeros(upstream.shape[1], np.bool_)
    run_together(threads_for(upstream.size), _find_moving, upstream, found)
    return found


class _SharedScores(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        user_table: Tensor,
        item_table: Tensor,
        users: Tensor,
        positives: Tensor,
        pool: Tensor,
        cosine: bool,
        scale: Tensor,
        sparse: bool,
    ) -> tuple[Tensor, Tensor]:
        """Return scores (B,) of the positives and (B, N) of the pool."""
        batch, n, dim = len(users), len(pool), user_table.shape[1]
        n_panels, padded = -(-n // _L), -(-dim // _L) * _L
        queries, unit = np.zeros((batch, padded), np.float32), np.zeros((n, padded), np.float32)
        panels = np.zeros((n_panels, dim, _L), np.float32)
        user_inverse, pos_inverse, pos_scores = (np.empty(batch, np.float32) for _ in range(3))
        pool_inverse, scores = np.empty(n, np.float32), np.empty((batch, n), np.float32)
        threads = threads_for(batch * n * dim)
        run_together(
            threads, _forward, user_table.detach().numpy(), item_table.detach().numpy(), users.numpy(),
            positives.numpy(), pool.numpy(), cosine, scale.numpy(), queries, user_inverse, pos_inverse, pos_scores,
            unit, pool_inverse, panels, _tiles(threads), scores,
        )  # fmt: skip
        found = torch.from_numpy(pos_scores)
        ctx.save_for_backward(user_table, item_table, users, positives, pool, scale, found)
        ctx.rest = (cosine, sparse, queries, user_inverse, pos_inverse, unit, pool_inverse)
        return found, torch.from_numpy(scores)

    @staticmethod
    def backward(ctx: Any, pos_upstream: Tensor, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Return the gradients of both tables, sparse or dense."""
        user_table, item_table, users, positives, pool, scale, pos_scores = ctx.saved_tensors
        cosine, sparse, queries, user_inverse, pos_inverse, unit, pool_inverse = ctx.rest
        pos_g, g = pos_upstream.contiguous().numpy(), upstream.contiguous().numpy()
        u, i = user_table.detach().numpy(), item_table.detach().numpy()
        dim = u.shape[1]
        threads = threads_for(g.size * dim)
        user_gradient = item_gradient = None
        if ctx.needs_input_grad[0]:
            touched, slot = np.unique(users.numpy(), return_inverse=True)
            rows, result = np.zeros_like(queries), np.zeros((len(touched), dim), np.float32)
            run_together(
                threads, _backward_users, u, i, users.numpy(), positives.numpy(), cosine, scale.numpy(), user_inverse,
                pos_inverse, unit, pos_g, g, _tiles(threads), slot, rows, result,
            )  # fmt: skip
            user_gradient = as_gradient(touched, result, user_table, sparse)
        if ctx.needs_input_grad[1]:
            active = np.concatenate((pos_g != 0, _moving_columns(g)))
            listed = np.concatenate((positives.numpy(), pool.numpy()))
            slot = np.full(len(listed), -1)
            touched, slot[active] = np.unique(listed[active], return_inverse=True)
            rows, result = np.zeros_like(unit), np.zeros((len(touched), dim), np.float32)
            run_together(
                threads, _backward_items, i, positives.numpy(), cosine, queries, pos_inverse, pos_scores.numpy(),
                unit, pool_inverse, pos_g, g, _tiles(threads), slot[: len(pos_g)], slot[len(pos_g) :], rows, result,
            )  # fmt: skip
            item_gradient = as_gradient(touched, result, item_table, sparse)
        return user_gradient, item_gradient, None, None, None, None, None, None


def _tiles(threads: int) -> Any:
    return np.empty((threads, _R, _L), np.float32)


def shared_scores(
    user_table: Tensor,
    item_table: Tensor,
    users: Tensor,
    positives: Tensor,
    pool: Tensor,
    *,
    similarity: Literal["cosine", "dot"],
    query_scale: Tensor | None,
    sparse: bool,
) -> tuple[Tensor, Tensor]:
    """Return what the reference returns; ``sparse`` as in ``sampled_scores``."""
    scale = torch.empty((0, 0)) if query_scale is None else query_scale.contiguous()
    index = (each.contiguous() for each in (users, positives, pool))
    found: tuple[Tensor, Tensor] = _SharedScores.apply(
        user_table, item_table, *index, similarity == "cosine", scale, sparse
    )  # type: ignore[no-untyped-call]
    return found
