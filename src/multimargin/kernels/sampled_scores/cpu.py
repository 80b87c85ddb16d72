r"""The compiled form: dot products row by row, gradients only where the upstream one is not exactly 0.

Forward. With u, v raw rows, q = scale * u/|u| (cosine) or scale * u (dot), and r_v = 1/|v| or 1:

    s = r_v (q . v)

Backward. For upstream gradients g (B, 1+N), positives and negatives alike:

    ds/dv = r_v (q - s r_v v)                     [dot: q]
    dL/dq = sum over the row of g r_v v,          x = scale * dL/dq
    dL/du = (x - (x . u^) u^) / |u|               [dot: x],     u^ = u/|u|

Rows of a table that occur more than once are summed by one owner in the order of the batch, so no result depends on the
number of threads. Saved: queries (B, D), scores (B, 1+N), norms. Memory: O(B (N + D) + touched rows * D).
"""

from typing import Any, Literal

import numba
import numpy as np
import torch
from torch import Tensor

from multimargin.kernels.rows import add_scaled, dot, fetch_row, inverse_norm, through_normalisation
from multimargin.kernels.team import TOGETHER, meet, run_together, share, threads_for

_AHEAD = 8  # rows asked for before they are read


@numba.njit(**TOGETHER)
def _forward(
    thread, threads, cells, user_table, item_table, users, items, cosine, scale, queries, user_inverse, scores, inverse
):
    """Score ``items`` (B, 1+N), the positive first; ``scale`` is (B, D) or (0, 0)."""
    first, stop = share(thread, threads, len(users))
    for b in range(first, stop):
        # 1. the query
        u, q = user_table[users[b]], queries[b]
        user_inverse[b] = inverse_norm(u) if cosine else np.float32(1)
        for d in range(len(q)):
            q[d] = u[d] * user_inverse[b]
        if scale.shape[0]:
            for d in range(len(q)):
                q[d] *= scale[b, d]
        # 2. its items: norm and product while the row is in cache
        for k in range(items.shape[1]):
            if k + _AHEAD < items.shape[1]:
                fetch_row(item_table, items[b, k + _AHEAD] * len(q), len(q))
            v = item_table[items[b, k]]
            inverse[b, k] = inverse_norm(v) if cosine else np.float32(1)
            scores[b, k] = dot(q, v) * inverse[b, k]


@numba.njit(**TOGETHER)
def _backward_users(
    thread, threads, cells, user_table, item_table, users, items, cosine, scale, user_inverse, inverse, upstream,
    slot, rows, result,
):  # fmt: skip
    """Fill ``result`` (touched users, D), zeros so far; ``rows`` (B, D), zeros too, is room for each row's own."""
    first, stop = share(thread, threads, len(users))
    for b in range(first, stop):
        x = rows[b]
        # 1. the gradient of the query: pairs with an exact 0 are not read
        for k in range(items.shape[1]):
            g = upstream[b, k]
            if g != np.float32(0):
                add_scaled(x, g * inverse[b, k], item_table[items[b, k]])
        if scale.shape[0]:
            for d in range(len(x)):
                x[d] *= scale[b, d]
        # 2. through the normalisation
        if cosine:
            through_normalisation(x, user_table[users[b]], user_inverse[b])
    meet(cells, thread, threads)
    # 3. one sum per user, in the order of the batch
    for b in range(len(users)):
        if slot[b] % threads == thread:
            add_scaled(result[slot[b]], np.float32(1), rows[b])


@numba.njit(**TOGETHER)
def _backward_items(
    thread, threads, cells, item_table, items, cosine, queries, scores, inverse, upstream, touched, slot, along, result
):
    """Fill ``result`` (touched items, D) and ``along`` (touched items,), zeros so far; ``slot`` (I,) says where."""
    # 1. this thread's rows, in the order of the batch
    for b in range(items.shape[0]):
        q = queries[b]
        for k in range(items.shape[1]):
            g = upstream[b, k]
            if g != np.float32(0):
                row = slot[items[b, k]]
                if row % threads == thread:
                    factor = g * inverse[b, k]
                    add_scaled(result[row], factor, q)
                    along[row] += factor * scores[b, k] * inverse[b, k]
    # 2. minus what lies along the item's own vector
    if cosine:
        for row in range(thread, len(touched), threads):
            add_scaled(result[row], -along[row], item_table[touched[row]])


class _SampledScores(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        user_table: Tensor,
        item_table: Tensor,
        users: Tensor,
        items: Tensor,
        cosine: bool,
        scale: Tensor,
        sparse: bool,
    ) -> Tensor:
        """Return scores (B, 1+N)."""
        (batch, width), dim = items.shape, user_table.shape[1]
        queries, user_inverse = np.empty((batch, dim), np.float32), np.empty(batch, np.float32)
        scores, inverse = np.empty((batch, width), np.float32), np.empty((batch, width), np.float32)
        run_together(
            threads_for(items.numel() * dim), _forward, user_table.detach().numpy(), item_table.detach().numpy(),
            users.numpy(), items.numpy(), cosine, scale.numpy(), queries, user_inverse, scores, inverse,
        )  # fmt: skip
        result = torch.from_numpy(scores)
        ctx.save_for_backward(user_table, item_table, users, items, scale, result)
        ctx.rest = (cosine, sparse, queries, user_inverse, inverse)
        return result

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Return the gradients of both tables, sparse or dense."""
        user_table, item_table, users, items, scale, result = ctx.saved_tensors
        cosine, sparse, queries, user_inverse, inverse = ctx.rest
        g = upstream.contiguous().numpy()
        u, i = user_table.detach().numpy(), item_table.detach().numpy()
        dim = u.shape[1]
        threads = threads_for(g.size * dim)
        user_gradient = item_gradient = None
        if ctx.needs_input_grad[0]:
            touched, slot = np.unique(users.numpy(), return_inverse=True)
            rows, found = np.zeros_like(queries), np.zeros((len(touched), dim), np.float32)
            run_together(
                threads, _backward_users, u, i, users.numpy(), items.numpy(), cosine, scale.numpy(), user_inverse,
                inverse, g, slot, rows, found,
            )  # fmt: skip
            user_gradient = as_gradient(touched, found, user_table, sparse)
        if ctx.needs_input_grad[1]:
            active = np.zeros(len(i), bool)
            active[items.numpy()[g != 0]] = True
            touched = np.flatnonzero(active)
            slot = np.cumsum(active) - 1
            along, found = np.zeros(len(touched), np.float32), np.zeros((len(touched), dim), np.float32)
            run_together(
                threads, _backward_items, i, items.numpy(), cosine, queries, result.numpy(), inverse, g, touched, slot,
                along, found,
            )  # fmt: skip
            item_gradient = as_gradient(touched, found, item_table, sparse)
        return user_gradient, item_gradient, None, None, None, None, None


def as_gradient(touched: Any, rows: Any, table: Tensor, sparse: bool) -> Tensor:
    """Return ``rows`` at the increasing indices ``touched`` as a gradient of ``table``."""
    index, values = torch.from_numpy(touched), torch.from_numpy(rows)
    if sparse and table.is_leaf:
        return torch.sparse_coo_tensor(index[None], values, table.shape, is_coalesced=True, check_invariants=False)
    return torch.zeros_like(table).index_copy_(0, index, values)


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
    items = torch.cat((positives[:, None], negatives), dim=1)  # (B, 1+N)
    scale = torch.empty((0, 0)) if query_scale is None else query_scale.contiguous()
    scores = _SampledScores.apply(
        user_table, item_table, users.contiguous(), items, similarity == "cosine", scale, sparse
    )  # type: ignore[no-untyped-call]
    return scores[:, 0], scores[:, 1:]
