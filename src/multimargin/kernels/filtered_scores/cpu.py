"""The compiled form: 32 users side by side; a row of the graph is a sum of rows that stays in two registers."""

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numpy.typing import NDArray

from multimargin.kernels.filtered_scores import Filter, Graph
from multimargin.kernels.intrinsics import (
    TILE_LANES,
    TILE_ROWS,
    address_of,
    intrinsic,
    lanes_at,
    multiply_tile,
    prefetch,
)

LANES = 32  # users at a time
_AHEAD = 16  # rows that are on their way while one is added
_INT, _LONG, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()


@intrinsic
def _sum_rows(typing_context, table, index, first, last, result):
    """Set float32 ``result[:32]`` to the sum of rows ``index[first:last]`` (int32) of ``table`` (n, 32)."""

    def generate(context, builder, signature, arguments):
        table_, index_, first_, last_, result_ = arguments
        kinds, parts = signature.args, LANES // TILE_LANES
        many = ir.VectorType(_FLOAT, TILE_LANES)
        nothing = ir.Constant(many, [0.0] * TILE_LANES)
        sums = [cgutils.alloca_once_value(builder, nothing) for _ in range(parts)]
        for place in sums:
            builder.store(nothing, place)
        final = builder.sub(context.make_array(kinds[1])(context, builder, index_).nitems, _LONG(1))

        def row_at(place):
            row = builder.load(address_of(context, builder, kinds[1], index_, place, _INT))
            return address_of(
                context, builder, kinds[0], table_, builder.mul(builder.zext(row, _LONG), _LONG(LANES)), _FLOAT
            )

        with cgutils.for_range_slice(builder, first_, last_, _LONG(1), intp=_LONG) as (place, _):
            later = builder.add(place, _LONG(_AHEAD))
            coming = row_at(builder.select(builder.icmp_signed("<", later, final), later, final))
            lanes = row_at(place)
            for part in range(parts):
                prefetch(builder, builder.gep(coming, [_LONG(part * TILE_LANES)], source_etype=_FLOAT))
            for part in range(parts):
                address = builder.gep(lanes, [_LONG(part * TILE_LANES)], source_etype=_FLOAT)
                values = builder.load(lanes_at(builder, address), align=4)
                builder.store(builder.fadd(builder.load(sums[part]), values), sums[part])
        for part in range(parts):
            address = address_of(context, builder, kinds[4], result_, _LONG(part * TILE_LANES), _FLOAT)
            builder.store(builder.load(sums[part]), lanes_at(builder, address), align=4)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(table, index, whole, whole, result), generate


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _filter(indptr, indices, graph, halves, factors, places, result):
    user_starts, items, item_starts, users = graph
    coefficients, before, after, left, right = factors
    old, new, total, middle, sums, query, tile = places
    n_rows = len(indptr) - 1
    rank = left.shape[1]
    # 1. the signal, in coordinates times halves
    old[:] = 0
    new[:] = 0
    for row in range(n_rows):
        for place in range(indptr[row], indptr[row + 1]):
            item = indices[place]
            new[item, row] = halves[item] * before[item]
    for item in range(len(new)):
        for lane in range(LANES):
            total[item, lane] = coefficients[0] * new[item, lane]
    # 2. Chebyshev's recurrence; the next term takes the place of the last but one
    for k in range(1, len(coefficients)):
        twice = np.float32(1) if k == 1 else np.float32(2)
        for user in range(len(middle)):
            _sum_rows(new, items, user_starts[user], user_starts[user + 1], sums)
            share = np.float32(1) / np.float32(max(user_starts[user + 1] - user_starts[user], 1))
            for lane in range(LANES):
                middle[user, lane] = sums[lane] * share
        for item in range(len(new)):
            _sum_rows(middle, users, item_starts[item], item_starts[item + 1], sums)
            factor = np.float32(-2) * twice * halves[item] * halves[item]
            for lane in range(LANES):
                next_one = twice * new[item, lane] + factor * sums[lane] - old[item, lane]
                old[item, lane] = next_one
                total[item, lane] += coefficients[k] * next_one
        old, new = new, old
    for item in range(len(total)):
        scale = after[item] / halves[item] if halves[item] > 0 else np.float32(0)
        for lane in range(LANES):
            total[item, lane] *= scale
    # 3. the part of low rank
    if rank > 0:
        query[:] = 0
        for row in range(n_rows):
            for place in range(indptr[row], indptr[row + 1]):
                for d in range(rank):
                    query[d, row] += left[indices[place], d]
        for item in range(0, len(total), TILE_ROWS):
            rows = min(TILE_ROWS, len(total) - item)
            for lane in range(0, LANES, TILE_LANES):
                multiply_tile(right, item * rank, rank, 1, rows, query, lane, LANES, rank, tile)
                for r in range(rows):
                    for each in range(TILE_LANES):
                        total[item + r, lane + each] += tile[r, each]
    # 4. users in rows
    for row in range(n_rows):
        for item in range(len(total)):
            result[row, item] = total[item, row]


def filtered_scores(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], graph: Graph, factors: Filter
) -> NDArray[np.float32]:
    """Return (b, I) scores; arguments as in the launcher."""
    n_users, n_items = len(graph.user_starts) - 1, len(graph.item_starts) - 1
    counts = np.diff(graph.item_starts)
    halves = np.where(counts > 0, 1 / np.sqrt(np.maximum(counts, 1)), 0).astype(np.float32)
    tables = [np.empty((n, LANES), dtype=np.float32) for n in (n_items, n_items, n_items, n_users)]
    sums, query = np.empty(LANES, dtype=np.float32), np.empty((factors.left.shape[1], LANES), dtype=np.float32)
    places = (*tables, sums, query, np.empty((TILE_ROWS, TILE_LANES), dtype=np.float32))
    result = np.empty((len(indptr) - 1, n_items), dtype=np.float32)
    for start in range(0, len(result), LANES):
        rows = slice(start, min(start + LANES, len(result)))
        _filter(
            indptr[start : rows.stop + 1],
            indices,
            (graph.user_starts, graph.items, graph.item_starts, graph.users),
            halves,
            (factors.coefficients, factors.before, factors.after, factors.left, factors.right),
            places,
            result[rows],
        )
    return result
