"""One row's sum over its neighbours, held in registers: what numba's own loops write back after every neighbour."""

from llvmlite import ir
from numba.core import cgutils, types

from multimargin.kernels.intrinsics import TILE_LANES, address_of, in_all_lanes, intrinsic, lanes_at, prefetch

_INT, _LONG, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()
_LANES = ir.VectorType(_FLOAT, TILE_LANES)
_AHEAD = 16  # neighbours whose rows are asked for before it is their turn


def _make(pieces):
    """Return an intrinsic for ``pieces * TILE_LANES`` columns."""
    columns = [TILE_LANES * piece for piece in range(pieces)]

    @intrinsic
    def sum_neighbours(typing_context, table, start, neighbours, scale, first, last, out, place):
        """Set ``out`` from flat ``place`` on to the sum of ``scale[j] * table[j]`` from column ``start`` on.

        j is each of ``neighbours[first:last]``, int32, in that order; ``table`` is contiguous (rows, D).
        """

        def generate(context, builder, signature, arguments):
            table_, start_, neighbours_, scale_, first_, last_, out_, place_ = arguments
            kinds = signature.args
            shape = context.make_array(kinds[0])(context, builder, table_)
            width = builder.extract_value(shape.shape, 1)
            known = context.make_array(kinds[2])(context, builder, neighbours_)
            end = builder.sub(builder.extract_value(known.shape, 0), _LONG(1))
            sums = [cgutils.alloca_once(builder, _LANES) for _ in columns]
            for each in sums:
                builder.store(ir.Constant(_LANES, [0.0] * TILE_LANES), each)

            def row(k):
                address = address_of(context, builder, kinds[2], neighbours_, k, _INT)
                j = builder.zext(builder.load(builder.bitcast(address, _INT.as_pointer())), _LONG)
                return j, builder.add(builder.mul(j, width), start_)

            def column(place, offset):
                return address_of(context, builder, kinds[0], table_, builder.add(place, _LONG(offset)), _FLOAT)

            with cgutils.for_range_slice(builder, first_, last_, _LONG(1), intp=_LONG) as (k, _):
                later = builder.add(k, _LONG(_AHEAD))
                _, place = row(builder.select(builder.icmp_signed("<", later, end), later, end))
                for offset in columns:
                    prefetch(builder, column(place, offset))
                j, place = row(k)
                factor = builder.load(address_of(context, builder, kinds[3], scale_, j, _FLOAT))
                factor = in_all_lanes(builder, factor)
                for offset, total in zip(columns, sums, strict=True):
                    values = builder.load(lanes_at(builder, column(place, offset)), align=4)
                    product = builder.fmul(factor, values, flags=("contract",))
                    builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
            for offset, total in zip(columns, sums, strict=True):
                address = address_of(context, builder, kinds[6], out_, builder.add(place_, _LONG(offset)), _FLOAT)
                builder.store(builder.load(total), lanes_at(builder, address), align=4)
            return context.get_dummy_value()

        whole = types.int64
        return types.void(table, whole, neighbours, scale, whole, whole, out, whole), generate

    return sum_neighbours


LANES, WIDE = TILE_LANES, 4 * TILE_LANES
sum_wide, sum_lanes = _make(4), _make(1)
