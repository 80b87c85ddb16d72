"""Exact best-k lists without a users x items matrix: screen in low precision, re-score what may count.

The score of a pair is *defined* as its dot product in float64, rounded to float32; lists are ordered by score, ties by
lower item index. How it is found:

1. Users in blocks, items in tiles that fit the cache. A **screen** multiplies block by tile: int8 (four times float32's
   speed where the processor has VNNI) or float32. It allocates one tile per thread, no more.
2. The screen's error has a bound. With a user u = û + r and an item v = v̂ + q, where û, v̂ are the rounded vectors,

       |u·v - û·v̂|  =  |û·q + r·v|  <=  |û| |q| + |r| |v|          (Cauchy-Schwarz, exact)

   so a pair whose screened score lies further than that below the user's running k-th score cannot enter the list.
   Items are ordered by length and share one int8 step and one bound per ``CHUNK``; a chunk is tested against one limit
   without branches.
   Both tables are first turned by one random rotation, which leaves products alone and shortens |q| and |r|.
3. What survives (a pair in 60 to 200) is scored in float32; what is near enough, and not a seen item (binary search),
   is scored exactly and offered to a heap of k.

Since every pair's score depends on its two vectors alone, lists are identical to the last bit whatever the block, the
number of threads, the screen or the machine's matrix library. Users are independent: blocks run in plain threads, each
with torch held to one thread of its own.
"""

import functools
import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from multimargin import checks
from multimargin.kernels.threads import get_threads
from multimargin.recommend.scan import CHUNK, scan, unpack

Screen = Literal["auto", "int8", "float32"]

_BLOCK = 512  # users at a time
_TILE = 512  # items at a time: a tile of scores is 1 MiB, which the second-level cache of one core holds
_STEPS = 127  # int8 runs over -127..127
# how to multiply, the type of products, and a number of that type beyond all of them
_SCREENS: dict[str, tuple[Any, torch.dtype, float]] = {
    "int8": (getattr(torch, "_int_mm", None), torch.int32, 2.0**30),
    "float32": (torch.mm, torch.float32, 2.0**126),
}
_LARGEST = 1e15  # beyond this float32 squares overflow soon; no trained table comes near


@dataclass(frozen=True)
class SeenItems:
    """Items to leave out: compressed rows of increasing item indices, as in ``Interactions``.

    Args:
        indptr: (R+1,) int64.
        indices: int32 item indices, increasing within a row.
        rows: (n,) int64, the row of each user asked for; None: user ``n`` is row ``n``.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    rows: NDArray[np.int64] | None = None


class Catalogue:
    """Item vectors made ready for ranking; make it once, ask it often.

    Args:
        vectors: (I, D) float32, finite. For the cosine, normalised rows (``normalised``).
        candidates: increasing item indices that may be listed; None: all.
        screen: "int8", "float32" or "auto", the faster on this machine. No result depends on it.

    Raises:
        ArgumentError: a vector is not finite, or candidates are out of range.
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        *,
        candidates: NDArray[np.integer[Any]] | None = None,
        screen: Screen = "auto",
    ):
        vectors = as_table("item_vectors", vectors)
        checks.choice("screen", screen, ("auto", "int8", "float32"))
        self.screen = fastest_screen() if screen == "auto" else screen
        self.n_items, self.dim = vectors.shape
        index = np.arange(self.n_items, dtype=np.int32) if candidates is None else _candidates(candidates, self.n_items)
        self.n_candidates = len(index)
        lengths = np.sqrt(np.einsum("id,id->i", vectors, vectors, dtype=np.float64))[index]
        # long vectors first, in quarter octaves: chunks are alike, and the k-th score rises early
        order = np.argsort(-np.rint(4 * np.log2(np.maximum(lengths, 1e-30))), kind="stable")
        n_chunks = -(-self.n_candidates // CHUNK)
        # rows in screening order, padded to whole chunks with zeros
        self.index = np.full(n_chunks * CHUNK, -1, dtype=np.int32)
        self.index[: self.n_candidates] = index[order]
        self.vectors = np.zeros((n_chunks * CHUNK, self.dim), dtype=np.float32)
        np.take(vectors, self.index[: self.n_candidates], axis=0, out=self.vectors[: self.n_candidates])
        padded = np.zeros(n_chunks * CHUNK)
        padded[: self.n_candidates] = lengths[order]
        self.length = padded.reshape(n_chunks, CHUNK).max(1, initial=0)
        self.rotation: NDArray[np.float32] | None = None
        self.screened: NDArray[Any] = self.vectors
        self.step = np.ones(n_chunks, dtype=np.float32)
        self.residual = np.zeros(n_chunks)
        if self.screen == "int8":
            self.rotation = _rotation(self.dim)
            chunks = (self.vectors @ self.rotation).reshape(n_chunks, CHUNK, self.rotation.shape[1])
            step = np.maximum(chunks.max((1, 2), initial=0), -chunks.min((1, 2), initial=0)) / np.float32(_STEPS)
            self.step = np.where(step > 0, step, np.float32(1))
            screened, residual = _rounded(chunks, self.step[:, None, None])
            self.screened = screened.reshape(n_chunks * CHUNK, self.rotation.shape[1])
            self.residual = residual.max(1, initial=0)
        whole = torch.from_numpy(self.screened)
        self.tiles = [(start, stop - start, whole[start:stop].t()) for start, stop in _tiles(len(whole))]


def top_k(
    user_vectors: NDArray[np.float32],
    items: NDArray[np.float32] | Catalogue,
    k: int,
    *,
    seen: SeenItems | None = None,
    threads: int | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return each user's k best items, exactly.

    Args:
        user_vectors: (n, D) float32, finite.
        items: (I, D) float32 item vectors, or a ``Catalogue`` made of them.
        k: length of the lists, 1 or more; where fewer items remain the list is padded.
        seen: items to leave out of each user's list.
        threads: how many to use, 1 or more; None: ``get_threads()``. The result is the same.

    Returns:
        index (n, k) int32 padded with -1, and score (n, k) float32 padded with -inf; ties by lower item index.

    Raises:
        ArgumentError: shapes disagree, k < 1, or a vector is not finite.

    Example:
        >>> top_k(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), 1)[0].tolist()
        [[0], [1]]
    """
    user_vectors = as_table("user_vectors", user_vectors)
    catalogue = items if isinstance(items, Catalogue) else Catalogue(items)
    k = checks.positive_int("k", k)
    threads = get_threads() if threads is None else checks.positive_int("threads", threads)
    n = len(user_vectors)
    if user_vectors.shape[1] != catalogue.dim:
        checks.fail("user_vectors", f"have {catalogue.dim} columns, as the items do", user_vectors.shape[1])
    if seen is None:
        seen = SeenItems(np.zeros(2, dtype=np.int64), np.empty(0, dtype=np.int32), np.zeros(n, dtype=np.int64))
    rows = np.arange(n, dtype=np.int64) if seen.rows is None else np.asarray(seen.rows, dtype=np.int64)
    if len(rows) != n or (n and (rows.min() < 0 or rows.max() >= len(seen.indptr) - 1)):
        checks.fail("seen", f"have a row for each of the {n} users", f"{len(rows)} rows of {len(seen.indptr) - 1}")

    seen = SeenItems(_read_only(seen.indptr, np.int64), _read_only(seen.indices, np.int32), rows)
    index = np.full((n, k), -1, dtype=np.int32)
    score = np.full((n, k), -np.inf, dtype=np.float32)
    starts = range(0, n, _BLOCK)

    scratch = threading.local()  # a tile of scores for each thread; to allocate one for each block costs a tenth more

    def run(start: int) -> None:
        if not hasattr(scratch, "tile"):
            scratch.tile = torch.empty(min(_BLOCK, n) * _TILE, dtype=_SCREENS[catalogue.screen][1])
        part = slice(start, start + _BLOCK)
        _rank_block(user_vectors[part], catalogue, seen, rows[part], scratch.tile, index[part], score[part])

    torch_threads = torch.get_num_threads()
    try:
        if min(threads, len(starts)) <= 1:
            torch.set_num_threads(1)  # a tile is too small to share, and a pool that spins starves other processes
            for start in starts:
                run(start)
        else:
            with ThreadPoolExecutor(threads, "top-k", initializer=torch.set_num_threads, initargs=(1,)) as pool:
                for done in [pool.submit(run, start) for start in starts]:
                    done.result()
    finally:
        torch.set_num_threads(torch_threads)  # a worker's setting is otherwise what later threads start with
    return index, score


def as_table(name: str, vectors: NDArray[np.float32] | torch.Tensor) -> NDArray[np.float32]:
    """Return ``vectors``, an array or a tensor, as a contiguous finite float32 matrix.

    Raises:
        ArgumentError: it is no matrix, or holds nan, inf or entries beyond 1e15; the message says ``name``.
    """
    if isinstance(vectors, torch.Tensor):
        vectors = vectors.detach().cpu().numpy()
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        checks.fail(name, "be a matrix with one row each and at least one column", vectors.shape)
    largest = max(float(vectors.max(initial=0)), -float(vectors.min(initial=0)))
    if not largest <= _LARGEST:  # nan compares false
        checks.fail(
            name, f"be finite, within +-{_LARGEST:g}", largest, "Training has diverged; lower the learning rate."
        )
    return vectors


def normalised(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows of ``table`` divided by max(norm, 1e-12): their dot products are cosines."""
    lengths = np.sqrt(np.einsum("nd,nd->n", table, table, dtype=np.float64))
    scaled: NDArray[np.float32] = (table / np.maximum(lengths, 1e-12)[:, None]).astype(np.float32)
    return scaled


@functools.cache
def fastest_screen() -> Literal["int8", "float32"]:
    """Return the screen that is faster on this machine, measured once (about 10 ms); int8 only where it is exact.

    Without VNNI some processors add int8 products in 16 bits and saturate: largest values must come out right.
    """
    if not hasattr(torch, "_int_mm"):
        return "float32"
    large = torch.full((_BLOCK, 64), _STEPS, dtype=torch.int8)
    tile = torch.full((_TILE, 64), -_STEPS, dtype=torch.int8)
    try:
        product = torch._int_mm(large, tile.t())
    except (RuntimeError, NotImplementedError):  # this build of torch has no int8 product
        return "float32"
    if not bool((product == -64 * _STEPS * _STEPS).all()):
        return "float32"

    def seconds(left: torch.Tensor, right: torch.Tensor, multiply: Any) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            multiply(left, right.t())
            times.append(time.perf_counter() - start)
        return min(times)

    int8 = seconds(large, tile, torch._int_mm)
    return "int8" if int8 < seconds(large.float(), tile.float(), torch.mm) else "float32"


def _rank_block(
    users: NDArray[np.float32],
    catalogue: Catalogue,
    seen: SeenItems,
    rows: NDArray[np.int64],
    buffer: torch.Tensor,
    index: NDArray[np.int32],
    score: NDArray[np.float32],
) -> None:
    """Fill ``index`` and ``score``, (b, k), with the lists of a block of users."""
    users = users.copy()  # the caller's may be read-only, which torch warns of
    screened: NDArray[Any] = users
    step, residual = np.ones(len(users), dtype=np.float32), np.zeros(len(users))
    multiply, _, beyond = _SCREENS[catalogue.screen]
    length = np.sqrt(np.einsum("nd,nd->n", users, users, dtype=np.float64))  # (b,)
    if catalogue.rotation is not None:
        rotated = torch.mm(torch.from_numpy(users), torch.from_numpy(catalogue.rotation)).numpy()
        step = np.abs(rotated).max(1, initial=0) / np.float32(_STEPS)
        step = np.where(step > 0, step, np.float32(1))
        screened, residual = _rounded(rotated, step[:, None])
    # what float32 arithmetic may lose of a dot product, relative to |u||v|: see _slack
    slack = length * _slack(catalogue.dim)
    left = torch.from_numpy(screened)
    user_bounds = (1 / step.astype(np.float64), length + residual, residual + slack, slack)
    chunk_bounds = (1 / catalogue.step.astype(np.float64), catalogue.residual, catalogue.length)
    lowest = np.full(len(users), -np.inf)
    keys = np.zeros((len(users), index.shape[1]), dtype=np.uint64)
    product, view = buffer, np.empty((0, 0))
    for start, width, tile in catalogue.tiles:
        if width != view.shape[1]:
            product = buffer[: len(users) * width].view(len(users), width)
            view = product.numpy()
        multiply(left, tile, out=product)
        scan(
            view,
            beyond,
            start,
            users,
            catalogue.vectors,
            catalogue.index,
            user_bounds,
            chunk_bounds,
            (seen.indptr, seen.indices, rows),
            lowest,
            keys,
        )
    index[:], score[:] = unpack(np.sort(keys, axis=1)[:, ::-1])


def _tiles(n: int) -> Iterator[tuple[int, int]]:
    """Return bounds of tiles; the first are small, for there the k-th score rises fast, and it is read once a tile."""
    start, size = 0, CHUNK
    while start < n:
        yield start, min(start + size, n)
        start, size = start + size, min(max(start + size, CHUNK), _TILE)


def _rounded(vectors: NDArray[np.float32], step: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return ``vectors`` (..., D) in whole steps, and the length of what that leaves of each."""
    whole = np.rint(vectors / step)
    left = vectors - whole * step
    return whole.astype(np.int8), np.sqrt(np.einsum("...d,...d->...", left, left, dtype=np.float64))


@functools.cache
def _rotation(dim: int) -> NDArray[np.float32]:
    """Return a fixed random rotation (D, P), with P - D columns of zeros to make P a multiple of 16.

    It leaves dot products as they are and spreads each vector over all its entries, so that 127 steps reach further.
    Torch's int8 product is wrong for one column (in 2.13), where strides are ambiguous, and fastest on whole vectors.
    """
    normal = np.random.Generator(np.random.PCG64(0)).standard_normal((dim, dim))
    return np.pad(np.linalg.qr(normal)[0].astype(np.float32), ((0, 0), (0, -dim % 16)))


def _slack(dim: int) -> float:
    """Return a bound, relative to |u||v|, on what float32 loses of a dot product of D terms, rotation included.

    Each of three chains of D float32 operations (rotating u, rotating v, the product; any order of summation) is off by
    at most D * 2**-24 relative to the lengths, times sqrt(D) for rotations (Higham 2002, 3.1, 3.5); then roundings.
    """
    return (4 * dim * math.sqrt(dim) + 16) * 2.0**-24


def _read_only(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Return a read-only view: the kernel is compiled for one kind of array, and interactions are read-only."""
    view = np.ascontiguousarray(array, dtype=dtype).view()
    view.setflags(write=False)
    return view


def _candidates(candidates: NDArray[np.integer[Any]], n_items: int) -> NDArray[np.int32]:
    candidates = np.asarray(candidates)
    if candidates.ndim != 1 or (np.diff(candidates) <= 0).any():
        checks.fail("candidates", "be a flat array of increasing item indices", candidates)
    if len(candidates) and (candidates[0] < 0 or candidates[-1] >= n_items):
        checks.fail("candidates", f"be in [0, {n_items})", (int(candidates[0]), int(candidates[-1])))
    return candidates.astype(np.int32)
