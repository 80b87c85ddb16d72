"""The instructions against plain products, for registers of 8 and of 16 words, at the ends of their ranges too."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from multimargin.kernels.screening import _FEATURES, CHUNK, HAS_INT8, LANES, instructions, lowest_bit, pack, raised

WIDE = LANES == 16
INT8_OF_8 = {"+avx512vl", "+avx512vnni"} <= _FEATURES or "+avxvnni" in _FEATURES  # 8 words at a time
SHAPES = [
    (kind, lanes, group)
    for kind, possible in (
        ("float32", {8: True, 16: WIDE}),
        ("int8", {8: INT8_OF_8, 16: WIDE and HAS_INT8}),
    )
    for lanes, group in ((8, 1), (16, 4))
    if possible[lanes]
]
COMPILED = {}


def compiled(lanes, group):
    """Return functions that run each instruction over all users and chunks."""
    if (lanes, group) not in COMPILED:
        reach, peak = instructions(lanes, group)

        @numba.njit
        def reaching(users, items, limits, found):
            for chunk in range(len(items)):
                for row in range(0, len(users), group):
                    reach(users, row, items, chunk, limits[chunk], found, chunk)

        @numba.njit
        def peaking(users, items, steps, less, peaks):
            for chunk in range(len(items)):
                for row in range(0, len(users), group):
                    peak(users, row, items, chunk, steps[chunk], less[chunk], peaks)

        COMPILED[lanes, group] = reaching, peaking
    return COMPILED[lanes, group]


def tables(kind, rng, n_users, n_chunks, columns, *, extreme=False):
    shapes = (n_users, columns), (n_chunks * CHUNK, columns)
    if kind == "float32":
        return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    if extreme:
        return tuple(rng.choice(np.array([-127, 127], dtype=np.int8), shape) for shape in shapes)
    return tuple(rng.integers(-127, 128, shape, dtype=np.int8) for shape in shapes)


def words(users):
    return users.view(np.int32) if users.dtype == np.int8 else users


@pytest.mark.parametrize(("kind", "lanes", "group"), SHAPES)
@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize(("n_chunks", "columns"), [(1, 4), (3, 64), (2, 500)])
def test_bits_of_what_reaches_the_limit(kind, lanes, group, extreme, n_chunks, columns):
    rng = np.random.default_rng(columns)
    users, items = tables(kind, rng, 2 * group, n_chunks, columns, extreme=extreme)
    products = users.astype(np.float64) @ items.astype(np.float64).T  # (users, items)
    limits = np.stack([products[:, chunk * CHUNK + 5] for chunk in range(n_chunks)])  # item 5 has just its limit
    if kind == "float32":
        limits = limits - 1e-3 * np.abs(limits)  # float32 sums may be a little less
    reached = products.reshape(len(users), n_chunks, CHUNK) >= limits.T[:, :, None]
    shift = raised(users) if kind == "int8" else 0.0
    found = np.zeros((len(users), n_chunks), dtype=np.uint64)
    packed = pack(items)
    compiled(lanes, group)[0](words(users), packed, (limits + shift).astype(packed.dtype), found)
    bits = np.unpackbits(found.view(np.uint8), bitorder="little").reshape(reached.shape)
    clear = np.abs(products.reshape(reached.shape) - limits.T[:, :, None]) > (1e-4 if kind == "float32" else -1)
    np.testing.assert_array_equal(bits[clear], reached[clear])
    assert bits[:, :, 5].all()


@pytest.mark.parametrize(("kind", "lanes", "group"), SHAPES)
def test_peaks_are_the_highest_of_all_chunks(kind, lanes, group):
    rng = np.random.default_rng(0)
    users, items = tables(kind, rng, 2 * group, 3, 36)
    steps = np.array([0.5, 2, 0.25], dtype=np.float32)
    less = rng.integers(0, 1000, (3, len(users))).astype(np.float32)
    products = (users.astype(np.float64) @ items.astype(np.float64).T).reshape(len(users), 3, CHUNK)
    expected = (products * steps[:, None] - less.T[:, :, None]).max(1)
    shift = raised(users) if kind == "int8" else np.zeros(len(users))
    peaks = np.full((len(users), CHUNK), -np.inf, dtype=np.float32)
    raised_less = (less + shift * steps[:, None]).astype(np.float32)
    compiled(lanes, group)[1](words(users), pack(items), steps, raised_less, peaks)
    np.testing.assert_allclose(peaks, expected, rtol=1e-5, atol=1e-4 if kind == "float32" else 1)


def test_packed_words_of_a_chunk_lie_together():
    vectors = np.arange(2 * CHUNK * 3, dtype=np.float32).reshape(-1, 3)
    assert pack(vectors)[1, 2].tolist() == vectors[CHUNK:, 2].tolist()
    whole = np.zeros((CHUNK, 8), dtype=np.int8)
    whole[7, 4:] = [-128, 0, 1, 127]
    assert pack(whole).view(np.uint8).reshape(2, CHUNK, 4)[1, 7].tolist() == [0, 128, 129, 255]


def test_the_lowest_bit():
    @numba.njit
    def place(bits):
        return lowest_bit(bits)

    assert [place(np.uint64(1 << n)) for n in (0, 1, 31, 32, 63)] == [0, 1, 31, 32, 63]
    assert place(np.uint64(0b1011000)) == 3


@pytest.mark.parametrize("features", ["", "+avx2,+fma"])
@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="features of x86 processors")
def test_lists_on_a_processor_without_vnni(features, tmp_path):
    """All of ``top_k`` as such a processor runs it: registers of 8 words, or fewer, and float32."""
    code = """
import numpy as np
from multimargin.kernels.screening import HAS_INT8, LANES
from multimargin.recommend.top_k import Catalogue, top_k
assert (HAS_INT8, LANES) == (False, 8)
rng = np.random.default_rng(0)
users, items = rng.standard_normal((9, 24), dtype=np.float32), rng.standard_normal((1100, 24), dtype=np.float32)
scores = (users.astype(np.float64) @ items.astype(np.float64).T).astype(np.float32)
catalogue = Catalogue(items)
assert catalogue.screen == "float32" and len(catalogue.sample) == 2
assert (top_k(users, catalogue, 20)[0] == np.argsort(-scores, axis=1, kind="stable")[:, :20]).all()
"""
    cpu = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": features or "+sse2", "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | cpu)
