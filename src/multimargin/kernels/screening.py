"""Which of 64 items reach a user's limit: products and comparison in registers, and a bit for each pair in memory.

Vectors are rows of words of 4 bytes: one float32, or four int8. Items lie in chunks of 64, word by word (``pack``), so
that one word of all of them fills a few registers and meets a user's word, spread over another. Bytes of items are kept
as 0..255, 128 too large, for the processor multiplies unsigned with signed bytes; a user's limit is raised by 128 times
the sum of their bytes instead (``raised``).

The int8 products need VNNI; float32 runs on any processor.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic
from numpy.typing import NDArray

CHUNK = 64  # items that are tested together
_BYTES = 128  # what is added to an item's int8
# what numba compiles for
_FEATURES = set((numba.config.CPU_FEATURES or get_host_cpu_features()).split(","))  # type: ignore[attr-defined]
LANES = 16 if "+avx512f" in _FEATURES else 8  # words of a register, or of two or four on smaller processors
HAS_INT8 = ("+avx512vnni" if LANES == 16 else "+avxvnni") in _FEATURES
GROUP = 4 if LANES == 16 else 1  # users at a time: sums of GROUP x 64 pairs stay in half of the registers

_INT, _LONG, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()


def pack(vectors: NDArray[Any]) -> NDArray[Any]:
    """Return item vectors (n_chunks * 64, W * 4 int8, or W float32) as words (n_chunks, W, 64), int32 or float32."""
    if vectors.dtype == np.int8:
        vectors = (vectors.view(np.uint8) ^ np.uint8(_BYTES)).view(np.int32)
    return np.ascontiguousarray(vectors.reshape(-1, CHUNK, vectors.shape[1]).transpose(0, 2, 1))


def raised(rows: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return what to add to the limits of int8 ``rows`` of users, (n,)."""
    total: NDArray[np.float64] = rows.sum(1, dtype=np.float64)
    return _BYTES * total


class _Products:
    """The sums of products of ``group`` users with the 64 items of a chunk, in registers of ``lanes`` words."""

    def __init__(self, lanes, group, context, builder, signature, arguments):
        users, self.row, items, chunk = arguments[:4]
        users, items = (context.make_array(signature.args[n])(context, builder, arguments[n]) for n in (0, 2))
        self.lanes, self.builder = lanes, builder
        self.word = _INT if signature.args[2].dtype == types.int32 else _FLOAT
        self.register = ir.VectorType(self.word, lanes)
        self.rows = [builder.add(self.row, _LONG(n)) for n in range(group)]
        n_words = builder.extract_value(users.shape, 1)
        # LLVM keeps these places in registers
        self._sums = [[cgutils.alloca_once(builder, self.register) for _ in range(CHUNK // lanes)] for _ in self.rows]
        for places in self._sums:
            for place in places:
                builder.store(ir.Constant(self.register, [0] * lanes), place)
        starts = [builder.mul(row, n_words) for row in self.rows]
        first_word = builder.mul(chunk, n_words)
        with cgutils.for_range(builder, n_words) as loop:
            at = builder.mul(builder.add(first_word, loop.index), _LONG(CHUNK))
            words = [self.load(items, builder.add(at, _LONG(n))) for n in range(0, CHUNK, lanes)]
            for start, places in zip(starts, self._sums, strict=True):
                user = self.spread(users, builder.add(start, loop.index))
                for item, place in zip(words, places, strict=True):
                    builder.store(self._times_plus(user, item, builder.load(place, typ=self.register)), place)

    def of_users(self):
        """Return each user's row, and the registers of sums, first items first."""
        sums = [[self.builder.load(place, typ=self.register) for place in places] for places in self._sums]
        return zip(self.rows, sums, strict=True)

    def load(self, array, place, word=None):
        """Return the words from flat ``place`` of an array on."""
        word = word or self.word
        address = self.builder.gep(array.data, [place], source_etype=word)
        return self.builder.load(address, align=4, typ=ir.VectorType(word, self.lanes))

    def spread(self, array, place, word=None):
        """Return the word at flat ``place`` of an array, in all places of a register."""
        word = word or self.word
        one = self.builder.load(self.builder.gep(array.data, [place], source_etype=word), typ=word)
        nothing = ir.Constant(ir.VectorType(word, self.lanes), ir.Undefined)
        everywhere = ir.Constant(ir.VectorType(_INT, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(self.builder.insert_element(nothing, one, _INT(0)), nothing, everywhere)

    def _times_plus(self, user, item, total):
        if self.word is _FLOAT:
            product = self.builder.fmul(user, item, flags=("contract",))
            return self.builder.fadd(product, total, flags=("contract",))
        kind = ir.FunctionType(self.register, [self.register] * 3)
        function = self.builder.module.declare_intrinsic(f"llvm.x86.avx512.vpdpbusd.{32 * self.lanes}", (), kind)
        return self.builder.call(function, [total, item, user])


def instructions(lanes: int, group: int) -> tuple[Any, Any]:
    """Return ``reach`` and ``peak`` for registers of ``lanes`` words and ``group`` users at a time.

    Both take users (n, W), the first one's ``row``, items (n_chunks, W, 64) and the number of a chunk; all arrays are
    contiguous.
    """

    @intrinsic
    def reach(typing_context, users, row, items, chunk, limits, found, place):
        """Set bit i of uint64 ``found[user, place]`` where item i of the chunk reaches ``limits[user]``."""

        def generate(context, builder, signature, arguments):
            products = _Products(lanes, group, context, builder, signature, arguments)
            limits, found = (context.make_array(signature.args[n])(context, builder, arguments[n]) for n in (4, 5))
            compare = builder.fcmp_ordered if products.word is _FLOAT else builder.icmp_signed
            for row, sums in products.of_users():
                limit = products.spread(limits, row)
                bits = _LONG(0)
                for n, total in enumerate(sums):
                    few = builder.bitcast(compare(">=", total, limit), ir.IntType(lanes))
                    bits = builder.or_(bits, builder.shl(builder.zext(few, _LONG), _LONG(n * lanes)))
                at = builder.add(builder.mul(row, builder.extract_value(found.shape, 1)), arguments[6])
                builder.store(bits, builder.gep(found.data, [at], source_etype=_LONG))
            return context.get_dummy_value()

        whole = types.int64
        return types.void(users, whole, items, whole, limits, found, whole), generate

    @intrinsic
    def peak(typing_context, users, row, items, chunk, step, less, peaks):
        """Raise float32 ``peaks[user, i]`` to ``step`` times the product with item i, less ``less[user]``."""

        def generate(context, builder, signature, arguments):
            products = _Products(lanes, group, context, builder, signature, arguments)
            less, peaks = (context.make_array(signature.args[n])(context, builder, arguments[n]) for n in (5, 6))
            steps = ir.VectorType(_FLOAT, lanes)
            one = builder.insert_element(ir.Constant(steps, ir.Undefined), arguments[4], _INT(0))
            every = ir.Constant(ir.VectorType(_INT, lanes), [0] * lanes)
            step = builder.shuffle_vector(one, ir.Constant(steps, ir.Undefined), every)
            for row, sums in products.of_users():
                lower = products.spread(less, row, _FLOAT)
                for n, total in enumerate(sums):
                    value = total if products.word is _FLOAT else builder.sitofp(total, steps)
                    value = builder.fsub(builder.fmul(value, step), lower)
                    at = builder.add(builder.mul(row, _LONG(CHUNK)), _LONG(n * lanes))
                    so_far = products.load(peaks, at, _FLOAT)
                    higher = builder.select(builder.fcmp_ordered(">", value, so_far), value, so_far)
                    address = builder.gep(peaks.data, [at], source_etype=_FLOAT)
                    builder.store(higher, builder.bitcast(address, steps.as_pointer()), align=4)
            return context.get_dummy_value()

        whole, real = types.int64, types.float32
        return types.void(users, whole, items, whole, real, less, peaks), generate

    return reach, peak


reach, peak = instructions(LANES, GROUP)


@intrinsic
def lowest_bit(typing_context, bits):
    """Return the place of the lowest 1 of uint64 ``bits``, which is not 0."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.uint64(types.uint64), generate
