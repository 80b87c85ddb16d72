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

from multimargin.kernels.rows import add_scaled, dot, inverse_norm, through_normalisation
from multimargin.kernels.threads import get_threads


@numba.njit(cache=True, parallel=True)
def inverse_norms(table, cosine):
    """Return 1/|row| (or 1) for every row of ``table``."""
    result = np.ones(table.shape[0], dtype=np.float32)
    if cosine:
        for row in numba.prange(table.shape[0]):
            result[row] = inverse_norm(table[row])
    return result


@numba.njit(cache=True, parallel=True)
def _forward(user_table, item_table, users, items, cosine, scale):
    """Score ``items`` (B, 1+N), the positive first; ``scale`` is (B, D) or (0, 0)."""
    batch, width = items.shape
    dim = user_table.shape[1]
    queries = np.empty((batch, dim), dtype=np.float32)
    user_inverse = np.ones(batch, dtype=np.float32)
    scores = np.empty((batch, width), dtype=np.float32)
    inverse = np.ones((batch, width), dtype=np.float32)
    for b in numba.prange(batch):
        # 1. the query
        u = user_table[users[b]]
        if cosine:
            user_inverse[b] = inverse_norm(u)
        for d in range(dim):
            queries[b, d] = u[d] * user_inverse[b]
        if scale.shape[0]:
            for d in range(dim):
                queries[b, d] *= scale[b, d]
        q = queries[b]
        # 2. its items: norm and product while the row is in cache
        for k in range(width):
            v = item_table[items[b, k]]
            if cosine:
                inverse[b, k] = inverse_norm(v)
            scores[b, k] = dot(q, v) * inverse[b, k]
    return queries, user_inverse, scores, inverse


@numba.njit(cache=True, parallel=True)
def _backward_users(
    user_table, item_table, users, items, cosine, scale, user_inverse, inverse, upstream, slot, n_slots
):
    batch, width = items.shape
    dim = user_table.shape[1]
    rows = np.zeros((batch, dim), dtype=np.float32)
    for b in numba.prange(batch):
        x = rows[b]
        # 1. the gradient of the query: pairs with an exact 0 are not read
        for k in range(width):
            g = upstream[b, k]
            if g != np.float32(0):
                add_scaled(x, g * inverse[b, k], item_table[items[b, k]])
        if scale.shape[0]:
            for d in range(dim):
                x[d] *= scale[b, d]
        # 2. through the normalisation
        if cosine:
            through_normalisation(x, user_table[users[b]], user_inverse[b])
    # 3. one sum per user, in the order of the batch
    result = np.zeros((n_slots, dim), dtype=np.float32)
    for b in range(batch):
        add_scaled(result[slot[b]], np.float32(1), rows[b])
    return result


@numba.njit(cache=True)
def _active_items(items, upstream, n_items):
    """Return the distinct items with a gradient that is not 0, increasing, and each item's place among them."""
    place = np.full(n_items, -1, dtype=np.int32)
    for b in range(items.shape[0]):
        for k in range(items.shape[1]):
            if upstream[b, k] != np.float32(0):
                place[items[b, k]] = 0
    count = 0
    for item in range(n_items):
        if place[item] == 0:
            place[item] = count
            count += 1
    touched = np.empty(count, dtype=np.int64)
    for item in range(n_items):
        if place[item] >= 0:
            touched[place[item]] = item
    return touched, place


@numba.njit(cache=True, parallel=True)
def _backward_items(item_table, items, cosine, queries, scores, inverse, upstream, touched, place, lanes):
    batch, width = items.shape
    dim = item_table.shape[1]
    result = np.zeros((len(touched), dim), dtype=np.float32)
    along = np.zeros(len(touched), dtype=np.float32)
    for lane in numba.prange(lanes):
        # 1. this lane's rows, in the order of the batch
        for b in range(batch):
            q = queries[b]
            for k in range(width):
                g = upstream[b, k]
                if g != np.float32(0):
                    row = place[items[b, k]]
                    if row % lanes == lane:
                        factor = g * inverse[b, k]
                        add_scaled(result[row], factor, q)
                        along[row] += factor * scores[b, k] * inverse[b, k]
        # 2. minus what lies along the item's own vector
        if cosine:
            for row in range(lane, len(touched), lanes):
                add_scaled(result[row], -along[row], item_table[touched[row]])
    return result


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
        queries, user_inverse, scores, inverse = _forward(
            user_table.detach().numpy(),
            item_table.detach().numpy(),
            users.numpy(),
            items.numpy(),
            cosine,
            scale.numpy(),
        )
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
        user_gradient = item_gradient = None
        if ctx.needs_input_grad[0]:
            touched, slot = np.unique(users.numpy(), return_inverse=True)
            rows = _backward_users(
                user_table.detach().numpy(), item_table.detach().numpy(), users.numpy(), items.numpy(), cosine,
                scale.numpy(), user_inverse, inverse, g, slot, len(touched),
            )  # fmt: skip
            user_gradient = _as_gradient(touched, rows, user_table, sparse)
        if ctx.needs_input_grad[1]:
            touched, place = _active_items(items.numpy(), g, len(item_table))
            rows = _backward_items(
                item_table.detach().numpy(), items.numpy(), cosine, queries, result.numpy(), inverse, g,
                touched, place, get_threads(),
            )  # fmt: skip
            item_gradient = _as_gradient(touched, rows, item_table, sparse)
        return user_gradient, item_gradient, None, None, None, None, None


def _as_gradient(touched: Any, rows: Any, table: Tensor, sparse: bool) -> Tensor:
    index, values = torch.from_numpy(touched), torch.from_numpy(rows)
    if sparse:
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
    if negatives.dim() == 1:
        negatives = negatives.expand(len(users), -1)
    items = torch.cat((positives[:, None], negatives), dim=1)  # (B, 1+N)
    scale = torch.empty((0, 0)) if query_scale is None else query_scale.contiguous()
    scores = _SampledScores.apply(
        user_table, item_table, users.contiguous(), items, similarity == "cosine", scale, sparse
    )  # type: ignore[no-untyped-call]
    return scores[:, 0], scores[:, 1:]
