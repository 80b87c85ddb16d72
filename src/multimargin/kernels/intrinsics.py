"""Instructions that numba has no name for: between threads, to fetch ahead, and on 16 numbers at a time."""

import sys

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

TILE_ROWS, TILE_LANES = 8, 16  # of a tile: as many sums as the registers of one core hold

_INT, _LONG, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()
_LANES = ir.VectorType(_FLOAT, TILE_LANES)


def _address(context, builder, array_type, array, place, kind):
    """Return where flat ``place`` of the contiguous ``array`` lies."""
    found = context.make_array(array_type)(context, builder, array)
    return builder.gep(found.data, [place], source_etype=kind)


@intrinsic
def read_cell(typing_context, cells, place):
    """Return int64 ``cells[place]``; what its writer wrote before is visible afterwards."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, signature.args[0], arguments[0], arguments[1], _LONG)
        return builder.load_atomic(address, "acquire", 8, typ=_LONG)

    return types.int64(cells, types.int64), generate


@intrinsic
def write_cell(typing_context, cells, place, value):
    """Set int64 ``cells[place]``, after all that this thread wrote before."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, signature.args[0], arguments[0], arguments[1], _LONG)
        builder.store_atomic(arguments[2], address, "release", 8)
        return context.get_dummy_value()

    return types.void(cells, types.int64, types.int64), generate


@intrinsic
def give_way(typing_context):
    """Offer the core to another thread or process."""

    def generate(context, builder, signature, arguments):
        if sys.platform != "win32":
            kind = ir.FunctionType(_INT, [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def fetch(typing_context, array, place):
    """Ask for the cache line of flat ``place`` of a contiguous float32 array; it arrives while others work."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, signature.args[0], arguments[0], arguments[1], _FLOAT)
        kind = ir.FunctionType(ir.VoidType(), [address.type, _INT, _INT, _INT])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(function, [address, _INT(0), _INT(3), _INT(1)])  # to read, into every level, data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


def _lanes_at(builder, address):
    """Return where the lanes lie that begin at ``address``."""
    return builder.bitcast(address, _LANES.as_pointer())


def _in_all_lanes(builder, value):
    """Return 16 times ``value``."""
    nothing = ir.Constant(_LANES, ir.Undefined)
    first = builder.insert_element(nothing, value, _INT(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_INT, TILE_LANES), [0] * TILE_LANES))


@intrinsic
def multiply_tile(typing_context, left, start, row, step, rows, right, begin, stride, depth, out):
    """Set ``out[r, l]`` to the sum over t of ``left[start + r row + t step] * right[begin + t stride + l]``.

    ``left`` and ``right`` are contiguous float32 arrays, places are flat, ``out`` is (8, 16); rows from ``rows`` on
    repeat the last. Each sum is taken in the order of t, so that it does not depend on the tile it stands in.
    """

    def generate(context, builder, signature, arguments):
        left_, start_, row_, step_, rows_, right_, begin_, stride_, depth_, out_ = arguments
        kinds = signature.args
        last = builder.sub(rows_, _LONG(1))
        firsts, sums = [], []
        for r in range(TILE_ROWS):
            own = builder.select(builder.icmp_signed("<", _LONG(r), last), _LONG(r), last)
            place = builder.add(start_, builder.mul(own, row_))
            firsts.append(_address(context, builder, kinds[0], left_, place, _FLOAT))
            sums.append(cgutils.alloca_once(builder, _LANES))
            builder.store(ir.Constant(_LANES, [0.0] * TILE_LANES), sums[r])
        lanes = _address(context, builder, kinds[5], right_, begin_, _FLOAT)
        with cgutils.for_range(builder, depth_) as loop:
            place = builder.gep(lanes, [builder.mul(loop.index, stride_)], source_etype=_FLOAT)
            factors = builder.load(_lanes_at(builder, place), align=4)
            offset = builder.mul(loop.index, step_)
            for r in range(TILE_ROWS):
                value = builder.load(builder.gep(firsts[r], [offset], source_etype=_FLOAT))
                product = builder.fmul(_in_all_lanes(builder, value), factors, flags=("contract",))
                builder.store(builder.fadd(builder.load(sums[r]), product, flags=("contract",)), sums[r])
        for r in range(TILE_ROWS):
            place = _address(context, builder, kinds[9], out_, _LONG(TILE_LANES * r), _FLOAT)
            builder.store(builder.load(sums[r]), _lanes_at(builder, place), align=4)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(left, whole, whole, whole, whole, right, whole, whole, whole, out), generate


@intrinsic
def lanes_above(typing_context, out, row, limit):
    """Return an int64 whose bit l says whether ``out[row, l] > limit`` (float32), for a tile ``out`` (8, 16)."""

    def generate(context, builder, signature, arguments):
        out_, row_, limit_ = arguments
        place = _address(context, builder, signature.args[0], out_, builder.mul(row_, _LONG(TILE_LANES)), _FLOAT)
        values = builder.load(_lanes_at(builder, place), align=4)
        bits = builder.fcmp_ordered(">", values, _in_all_lanes(builder, limit_))
        return builder.zext(builder.bitcast(bits, ir.IntType(TILE_LANES)), _LONG)

    return types.int64(out, types.int64, types.float32), generate
