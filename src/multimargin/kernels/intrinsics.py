"""Instructions that numba has no name for: ordered reads and writes between threads, fetching ahead, yielding."""

import sys

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_INT, _LONG, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()


def _address(context, builder, signature, arguments, kind):
    """Return where flat place ``arguments[1]`` of the contiguous array ``arguments[0]`` lies."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]], source_etype=kind)


@intrinsic
def read_cell(typing_context, cells, place):
    """Return int64 ``cells[place]``; what its writer wrote before is visible afterwards."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, signature, arguments, _LONG)
        return builder.load_atomic(address, "acquire", 8, typ=_LONG)

    return types.int64(cells, types.int64), generate


@intrinsic
def write_cell(typing_context, cells, place, value):
    """Set int64 ``cells[place]``, after all that this thread wrote before."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, signature, arguments, _LONG)
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
        address = _address(context, builder, signature, arguments, _FLOAT)
        kind = ir.FunctionType(ir.VoidType(), [address.type, _INT, _INT, _INT])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(function, [address, _INT(0), _INT(3), _INT(1)])  # to read, into every level, data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate
