"""Arithmetic on rows of 16, 32, 48 ... float32, by their places: nothing is checked, everything is in registers."""

from llvmlite import ir
from numba.core import cgutils, types

from multimargin.kernels.intrinsics import TILE_LANES, address_of, in_all_lanes, intrinsic, lanes_at

_INT, _LONG, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()
_LANES = ir.VectorType(_FLOAT, TILE_LANES)
_WORDS = TILE_LANES // 4  # of 16 bytes
_ZERO_BYTE = 128  # what stands for 0


def _blocks(context, builder, signature, arguments, width):
    """Yield where each 16 of ``width`` entries lie in two rows: ``arguments`` are array, place, array, place."""
    with cgutils.for_range(builder, builder.sdiv(width, _LONG(TILE_LANES))) as loop:
        offset = builder.mul(loop.index, _LONG(TILE_LANES))
        places = []
        for k in (0, 2):
            place = builder.add(arguments[k + 1], offset)
            address = address_of(context, builder, signature.args[k], arguments[k], place, _FLOAT)
            places.append(lanes_at(builder, address))
        yield places


def _sum_of_lanes(builder, lanes):
    """Return the sum of 16 float32, halves added to halves."""
    half = TILE_LANES // 2
    while half:
        kind = ir.VectorType(_INT, half)
        low, high = (
            builder.shuffle_vector(lanes, lanes, ir.Constant(kind, list(range(first, first + half))))
            for first in (0, half)
        )
        lanes, half = builder.fadd(low, high), half // 2
    return builder.extract_element(lanes, _INT(0))


@intrinsic
def dot_rows(typing_context, a, at, b, start, width):
    """Return the dot product of ``width`` entries, a multiple of 16, from flat places of two float32 arrays on."""

    def generate(context, builder, signature, arguments):
        total = cgutils.alloca_once(builder, _LANES)
        builder.store(ir.Constant(_LANES, [0.0] * TILE_LANES), total)
        for one, other in _blocks(context, builder, signature, arguments, arguments[4]):
            product = builder.fmul(builder.load(one, align=4), builder.load(other, align=4), flags=("contract",))
            builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        return _sum_of_lanes(builder, builder.load(total))

    whole = types.int64
    return types.float32(a, whole, b, whole, whole), generate


@intrinsic
def add_row(typing_context, out, at, row, start, width, factor):
    """Add ``factor`` times ``width`` entries, a multiple of 16, of a float32 array to those of another one."""

    def generate(context, builder, signature, arguments):
        every = in_all_lanes(builder, arguments[5])
        for one, other in _blocks(context, builder, signature, arguments, arguments[4]):
            product = builder.fmul(every, builder.load(other, align=4), flags=("contract",))
            total = builder.fadd(builder.load(one, align=4), product, flags=("contract",))
            builder.store(total, one, align=4)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(out, whole, row, whole, whole, types.float32), generate


@intrinsic
def round_row(typing_context, row, start, width, factor, words, place, stride):
    """Round ``width`` entries, a multiple of 16, of a float32 array, times ``factor``, to bytes; return what is lost.

    Products must be within 127; a byte is the rounded one plus 128, and four bytes are an int32 word. The w-th goes to
    flat place ``place + w stride`` of ``words``. What is lost is the sum of squares of products less rounded ones.
    """

    def generate(context, builder, signature, arguments):
        row_, start_, width_, factor_, words_, place_, stride_ = arguments
        lost = cgutils.alloca_once_value(builder, ir.Constant(_LANES, [0.0] * TILE_LANES))
        every, zero = (in_all_lanes(builder, each) for each in (factor_, _FLOAT(_ZERO_BYTE)))
        half = ir.Constant(_LANES, [_ZERO_BYTE + 0.5] * TILE_LANES)
        whole = ir.VectorType(_INT, TILE_LANES)
        with cgutils.for_range(builder, builder.sdiv(width_, _LONG(TILE_LANES))) as loop:
            at = builder.add(start_, builder.mul(loop.index, _LONG(TILE_LANES)))
            address = address_of(context, builder, signature.args[0], row_, at, _FLOAT)
            product = builder.fmul(builder.load(lanes_at(builder, address), align=4), every)
            rounded = builder.fptosi(builder.fadd(product, half), whole)
            off = builder.fsub(product, builder.fsub(builder.sitofp(rounded, _LANES), zero))
            square = builder.fmul(off, off, flags=("contract",))
            builder.store(builder.fadd(builder.load(lost), square, flags=("contract",)), lost)
            bytes_ = builder.trunc(rounded, ir.VectorType(ir.IntType(8), TILE_LANES))
            four = builder.bitcast(bytes_, ir.VectorType(_INT, _WORDS))
            for w in range(_WORDS):
                word = builder.add(builder.mul(loop.index, _LONG(_WORDS)), _LONG(w))
                to = builder.add(place_, builder.mul(word, stride_))
                address = address_of(context, builder, signature.args[4], words_, to, _INT)
                builder.store(builder.extract_element(four, _INT(w)), address)
        return _sum_of_lanes(builder, builder.load(lost))

    long = types.int64
    return types.float32(row, long, long, types.float32, words, long, long), generate
