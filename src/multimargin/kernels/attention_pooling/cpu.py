r"""The compiled form: bag by bag, nothing padded.

Forward. For bag b with entries l, key k_l and value v_l:

    s_l = q_b . k_l,   a_l = exp(s_l - max s) / sum exp(s - max s),   o_b = sum a_l v_l

Backward. For the upstream gradient g_b:

    t_l = a_l (g_b . v_l - g_b . o_b)         dL/ds_l
    dL/dq_b = sum t_l k_l,   dL/dk_l += t_l q_b,   dL/dv_l += a_l g_b

Rows of keys and values that are in many bags are summed by one owner in the order of the bags, so no result depends on
the number of threads. Saved: weights (L,). Memory: O(L + B (D + E) + S (D + E)).
"""

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from multimargin.kernels.rows import add_scaled, dot
from multimargin.kernels.team import TOGETHER, meet, run_together, share, threads_for


@numba.njit(**TOGETHER)
def _forward(thread, threads, cells, queries, keys, values, places, starts, weights, result):
    """Fill ``weights`` (L,) and ``result`` (B, E), zeros so far; ``starts`` (B+1,) has an end."""
    first, stop = share(thread, threads, len(queries))
    for b in range(first, stop):
        # 1. scores, and the highest, against overflow
        highest = np.float32(-np.inf)
        for n in range(starts[b], starts[b + 1]):
            weights[n] = dot(queries[b], keys[places[n]])
            highest = max(highest, weights[n])
        # 2. their softmax
        total = np.float32(0)
        for n in range(starts[b], starts[b + 1]):
            total += np.exp(weights[n] - highest)
        for n in range(starts[b], starts[b + 1]):
            weights[n] = np.exp(weights[n] - highest) / total
        # 3. the sum
        for n in range(starts[b], starts[b + 1]):
            add_scaled(result[b], weights[n], values[places[n]])


@numba.njit(**TOGETHER)
def _backward(
    thread, threads, cells, queries, keys, values, places, starts, weights, result, upstream, slopes,
    query_gradient, key_gradient, value_gradient,
):  # fmt: skip
    """Fill the gradients, zeros so far; ``slopes`` (L,) is room for those of the scores."""
    first, stop = share(thread, threads, len(queries))
    for b in range(first, stop):
        along = dot(upstream[b], result[b])
        for n in range(starts[b], starts[b + 1]):
            slopes[n] = weights[n] * (dot(upstream[b], values[places[n]]) - along)
        for n in range(starts[b], starts[b + 1]):
            add_scaled(query_gradient[b], slopes[n], keys[places[n]])
    meet(cells, thread, threads)
    for b in range(len(queries)):
        for n in range(starts[b], starts[b + 1]):
            row = places[n]
            if row % threads == thread:
                add_scaled(key_gradient[row], slopes[n], queries[b])
                add_scaled(value_gradient[row], weights[n], upstream[b])


class _AttentionPooling(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, places: Tensor, starts: Tensor
    ) -> Tensor:
        """Return (B, E)."""
        q, k, v = (each.detach().contiguous().numpy() for each in (queries, keys, values))
        ends = np.append(starts.numpy(), len(places))
        weights, result = np.empty(len(places), np.float32), np.zeros((len(q), v.shape[1]), np.float32)
        run_together(_threads(places, k, v), _forward, q, k, v, places.numpy(), ends, weights, result)
        ctx.saved = (q, k, v, places.numpy(), ends, weights, result)
        return torch.from_numpy(result)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Return the gradients of queries, keys and values."""
        q, k, v, places, _, weights, _ = ctx.saved
        gradients = [np.zeros_like(each) for each in (q, k, v)]
        run_together(
            _threads(places, k, v), _backward, *ctx.saved, upstream.contiguous().numpy(), np.empty_like(weights),
            *gradients,
        )  # fmt: skip
        return *(torch.from_numpy(each) for each in gradients), None, None


def _threads(places: Any, keys: Any, values: Any) -> int:
    return threads_for(len(places) * (keys.shape[1] + values.shape[1]))


def attention_pooling(queries: Tensor, keys: Tensor, values: Tensor, places: Tensor, starts: Tensor) -> Tensor:
    """Return what the reference returns."""
    result: Tensor = _AttentionPooling.apply(queries, keys, values, places.contiguous(), starts.contiguous())  # type: ignore[no-untyped-call]
    return result
