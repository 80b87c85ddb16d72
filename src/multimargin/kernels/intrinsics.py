"""What numba has no name for: ordered reads and writes between threads, yielding, fetching ahead, products."""

import sys
from typing import Any

import numba
from llvmlite import binding, ir
from numba import extending
from numba.core import cgutils, types

intrinsic: Any = extending.intrinsic  # its own annotation hides that the first argument is numba's

_BYTE, _INT, _LONG, _FLOAT = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
TILE_ROWS, TILE_LANES = 8, 16  # of a tile, whose sums stay in registers (all at once or by halves, see _ROWS_AT_ONCE)
BYTES = 64  # of a row that one ``dot_drawn`` multiplies: a cache line
_LANES = ir.VectorType(_FLOAT, TILE_LANES)


def address_of(context, builder, kind_of_array, array, place, kind):
    """Return where flat ``place`` of the contiguous ``array`` lies, as entries of ``kind``."""
    data = context.make_array(kind_of_array)(context, builder, array).data
    return builder.gep(data, [place], source_etype=kind)


@intrinsic
def read_cell(typing_context, cells, place):
    """Return int64 ``cells[place]``; what its writer wrote before is visible afterwards."""

    def generate(context, builder, signature, arguments):
        address = address_of(context, builder, signature.args[0], arguments[0], arguments[1], _LONG)
        return builder.load_atomic(address, "acquire", 8, typ=_LONG)

    return types.int64(cells, types.int64), generate


@intrinsic
def write_cell(typing_context, cells, place, value):
    """Set int64 ``cells[place]``, after all that this thread wrote before."""

    def generate(context, builder, signature, arguments):
        address = address_of(context, builder, signature.args[0], arguments[0], arguments[1], _LONG)
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


def prefetch(builder, address):
    """Ask for the cache line of ``address``."""
    kind = ir.FunctionType(ir.VoidType(), [address.type, _INT, _INT, _INT])
    function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
    builder.call(function, [address, _INT(0), _INT(3), _INT(1)])  # to read, into every level, data


@intrinsic
def fetch(typing_context, array, place):
    """Ask for the cache line of flat ``place`` of a contiguous array; it arrives while others work."""
    kind_of_entry = {8: _BYTE, 32: _INT, 64: _LONG}[array.dtype.bitwidth]

    def generate(context, builder, signature, arguments):
        address = address_of(context, builder, signature.args[0], arguments[0], arguments[1], kind_of_entry)
        prefetch(builder, address)
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


def _drawn_row(context, builder, signature, arguments, k):
    """Return the address of row ``drawn[place + k]``; the arguments start with rows, width, drawn, place."""
    place = builder.add(arguments[3], _LONG(k))
    address = address_of(context, builder, signature.args[2], arguments[2], place, _INT)
    row = builder.zext(builder.load(builder.bitcast(address, _INT.as_pointer())), _LONG)
    start = builder.mul(row, arguments[1])
    return address_of(context, builder, signature.args[0], arguments[0], start, _BYTE)


@intrinsic
def fetch_drawn(typing_context, rows, width, drawn, place):
    """Ask for the first cache lines of the four rows ``drawn[place : place + 4]`` of ``rows``, each ``width`` bytes."""

    def generate(context, builder, signature, arguments):
        for k in range(4):
            prefetch(builder, _drawn_row(context, builder, signature, arguments, k))
        return context.get_dummy_value()

    return types.void(rows, types.int64, drawn, types.int64), generate


def _make_dot_drawn(*, native):
    """Return ``dot_drawn`` by the processor's own instruction (AVX-512 VNNI), or by any processor's."""

    @intrinsic
    def dot_drawn(typing_context, rows, width, drawn, place, query, start, result):
        """Add products of bytes ``start`` to ``start + BYTES`` of four drawn uint8 rows and an int8 query.

        The rows, each ``width`` bytes, are ``drawn[place : place + 4]``; the sums go to int32 ``result`` at ``place``.
        """

        def generate(context, builder, signature, arguments):
            def load(address, kind):
                return builder.load(builder.bitcast(address, kind.as_pointer()), align=1)

            def pick(a, b, *lanes):
                return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT, len(lanes)), lanes))

            def item(k, kind):
                row = _drawn_row(context, builder, signature, arguments, k)
                return load(builder.gep(row, [arguments[5]], source_etype=_BYTE), kind)

            query = address_of(context, builder, signature.args[4], arguments[4], arguments[5], _BYTE)
            if native:
                many = ir.VectorType(_INT, BYTES // 4)
                of_four = ir.FunctionType(many, [many, many, many])
                multiply = cgutils.get_or_insert_function(builder.module, of_four, "llvm.x86.avx512.vpdpbusd.512")
                q, nothing = load(query, many), ir.Constant(many, None)
                sums = [builder.call(multiply, [nothing, item(k, many), q]) for k in range(4)]
            else:
                small, wide = ir.VectorType(_BYTE, BYTES), ir.VectorType(_INT, BYTES)
                q = builder.sext(load(query, small), wide)
                sums = [builder.mul(builder.zext(item(k, small), wide), q) for k in range(4)]
                for half in (32, 16):
                    sums = [builder.add(pick(x, x, *range(half)), pick(x, x, *range(half, 2 * half))) for x in sums]
            for half in (8, 4):
                sums = [builder.add(pick(x, x, *range(half)), pick(x, x, *range(half, 2 * half))) for x in sums]
            # four lanes each: turned over, so that the last sums are across vectors
            a, b, c, d = sums
            ab = builder.add(pick(a, b, 0, 4, 1, 5), pick(a, b, 2, 6, 3, 7))
            cd = builder.add(pick(c, d, 0, 4, 1, 5), pick(c, d, 2, 6, 3, 7))
            total = builder.add(pick(ab, cd, 0, 1, 4, 5), pick(ab, cd, 2, 3, 6, 7))
            address = address_of(context, builder, signature.args[6], arguments[6], arguments[3], _INT)
            address = builder.bitcast(address, ir.VectorType(_INT, 4).as_pointer())
            builder.store(builder.add(builder.load(address, align=4), total), address, align=4)
            return context.get_dummy_value()

        long = types.int64
        return types.void(rows, long, drawn, long, query, long, result), generate

    return dot_drawn


def _has(feature):
    """Return whether code is compiled for a processor with ``feature``."""
    settings: Any = numba.config
    if settings.CPU_NAME or settings.CPU_FEATURES:
        return f"+{feature}" in (settings.CPU_FEATURES or "").split(",")
    try:
        return bool(binding.get_host_cpu_features().get(feature))
    except RuntimeError:  # LLVM cannot tell on this platform
        return False


dot_drawn_anywhere = _make_dot_drawn(native=False)
dot_drawn = _make_dot_drawn(native=True) if _has("avx512vnni") else dot_drawn_anywhere
_ROWS_AT_ONCE = TILE_ROWS if _has("avx512f") else TILE_ROWS // 2  # sums of more do not stay in 16 registers of 8 words


def lanes_at(builder, address):
    """Return where the lanes lie that begin at ``address``."""
    return builder.bitcast(address, _LANES.as_pointer())


def in_all_lanes(builder, value, kind=_FLOAT):
    """Return 16 times ``value``, of ``kind``."""
    nothing = ir.Constant(ir.VectorType(kind, TILE_LANES), ir.Undefined)
    first = builder.insert_element(nothing, value, _INT(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_INT, TILE_LANES), [0] * TILE_LANES))


@intrinsic
def at_least(typing_context, values, start, limit):
    """Return an int64 whose bit l says whether ``values[start + l] >= limit``, l in 0..15, int32."""

    def generate(context, builder, signature, arguments):
        values_, start_, limit_ = arguments
        many = ir.VectorType(_INT, TILE_LANES)
        address = address_of(context, builder, signature.args[0], values_, start_, _INT)
        found = builder.load(builder.bitcast(address, many.as_pointer()), align=4)
        bits = builder.icmp_signed(">=", found, in_all_lanes(builder, limit_, _INT))
        return builder.zext(builder.bitcast(bits, ir.IntType(TILE_LANES)), _LONG)

    return types.int64(values, types.int64, types.int32), generate


@intrinsic
def lowest_bit(typing_context, bits):
    """Return the place of the lowest bit of int64 ``bits``, which is not 0."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


@intrinsic
def largest(typing_context, row, length):
    """Return the largest absolute value of ``row[:length]``, contiguous float32; no number if one of them is none.

    Without their signs, floats are in the order of the integers with the same bits; compilers take floats one by one.
    """

    def generate(context, builder, signature, arguments):
        row_, length_ = arguments
        kind, many = signature.args[0], ir.VectorType(_INT, TILE_LANES)
        best = cgutils.alloca_once_value(builder, ir.Constant(many, [0] * TILE_LANES))

        def take(values):
            bits = builder.and_(builder.bitcast(values, many), ir.Constant(many, [0x7FFFFFFF] * TILE_LANES))
            seen = builder.load(best)
            builder.store(builder.select(builder.icmp_unsigned(">", bits, seen), bits, seen), best)

        whole = builder.and_(length_, _LONG(-TILE_LANES))
        with cgutils.for_range_slice(builder, _LONG(0), whole, _LONG(TILE_LANES), intp=_LONG) as (place, _):
            address = address_of(context, builder, kind, row_, place, _FLOAT)
            take(builder.load(lanes_at(builder, address), align=4))
        with cgutils.for_range_slice(builder, whole, length_, _LONG(1), intp=_LONG) as (place, _):
            take(in_all_lanes(builder, builder.load(address_of(context, builder, kind, row_, place, _FLOAT))))
        rest, lanes = builder.load(best), TILE_LANES
        while lanes > 1:
            lanes //= 2
            low, high = (
                builder.shuffle_vector(rest, rest, ir.Constant(ir.VectorType(_INT, lanes), list(range(k, k + lanes))))
                for k in (0, lanes)
            )
            rest = builder.select(builder.icmp_unsigned(">", low, high), low, high)
        return builder.bitcast(builder.extract_element(rest, _INT(0)), _FLOAT)

    return types.float32(row, types.int64), generate


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
        lanes = address_of(context, builder, kinds[5], right_, begin_, _FLOAT)
        for part in range(0, TILE_ROWS, _ROWS_AT_ONCE):
            firsts, sums = [], []
            for r in range(part, part + _ROWS_AT_ONCE):
                own = builder.select(builder.icmp_signed("<", _LONG(r), last), _LONG(r), last)
                place = builder.add(start_, builder.mul(own, row_))
                firsts.append(address_of(context, builder, kinds[0], left_, place, _FLOAT))
                sums.append(cgutils.alloca_once(builder, _LANES))
                builder.store(ir.Constant(_LANES, [0.0] * TILE_LANES), sums[-1])
            with cgutils.for_range(builder, depth_) as loop:
                place = builder.gep(lanes, [builder.mul(loop.index, stride_)], source_etype=_FLOAT)
                factors = builder.load(lanes_at(builder, place), align=4)
                offset = builder.mul(loop.index, step_)
                for first, total in zip(firsts, sums, strict=True):
                    value = builder.load(builder.gep(first, [offset], source_etype=_FLOAT))
                    product = builder.fmul(in_all_lanes(builder, value), factors, flags=("contract",))
                    builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
            for r, total in enumerate(sums, start=part):
                place = address_of(context, builder, kinds[9], out_, _LONG(TILE_LANES * r), _FLOAT)
                builder.store(builder.load(total), lanes_at(builder, place), align=4)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(left, whole, whole, whole, whole, right, whole, whole, whole, out), generate


@intrinsic
def lanes_above(typing_context, out, row, limit):
    """Return an int64 whose bit l says whether ``out[row, l] > limit`` (float32), for a tile ``out`` (8, 16)."""

    def generate(context, builder, signature, arguments):
        out_, row_, limit_ = arguments
        place = address_of(context, builder, signature.args[0], out_, builder.mul(row_, _LONG(TILE_LANES)), _FLOAT)
        values = builder.load(lanes_at(builder, place), align=4)
        bits = builder.fcmp_ordered(">", values, in_all_lanes(builder, limit_))
        return builder.zext(builder.bitcast(bits, ir.IntType(TILE_LANES)), _LONG)

    return types.int64(out, types.int64, types.float32), generate
