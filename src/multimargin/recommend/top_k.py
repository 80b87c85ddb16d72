"""Exact best-k lists without a users x items matrix: screen in low precision, re-score what may count.

The score of a pair is *defined* as its dot product in float64, rounded to float32; lists are ordered by score, ties by
lower item index. How it is found:

1. Users in blocks, items in tiles that fit the cache. A **screen** multiplies block by tile in int8 (four times
   float32's speed; where the processor has VNNI) or float32, compares the products in registers with the least that
   can still count, and keeps a bit for each pair (``kernels/screening.py``).
2. The screen's error has a bound. With a user u = û + r and an item v = v̂ + q, where û, v̂ are the rounded vectors,

       |u·v - û·v̂|  =  |û·q + r·v|  <=  |û| |q| + |r| |v|          (Cauchy-Schwarz, exact)

   so a pair whose screened score lies further than that below the user's running k-th score cannot enter the list.
   Items are ordered by length and share one int8 step and one bound per ``CHUNK``, so a chunk has one limit.
   Both tables are first turned by one random rotation, which leaves products alone and shortens |q| and |r|.
3. The first limit comes from 32 chunks from all over the catalogue. Place i of 64 keeps the highest score, less its
   bound, of the i-th item of each; where a user has seen s of these items, k others reach the (k+s)-th highest of 64.
4. What survives (a pair in 70 to 200) is scored in float32; what is near enough, and not a seen item (binary search),
   is scored exactly and offered to a heap of k.

Since every pair's score depends on its two vectors alone, lists are identical to the last bit whatever the block, the
number of threads, the screen or the processor. Users are independent: blocks run in plain threads.
"""

import functools
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from multimargin import checks
from multimargin.kernels.screening import CHUNK, GROUP, HAS_INT8, pack, raised
from multimargin.kernels.threads import get_threads
from multimargin.recommend.scan import count_seen, rotate_rows, round_rows, sample, scan, unpack

Screen = Literal["auto", "int8", "float32"]

_BLOCK = 512  # users at a time
_ROWS = 2**14  # vectors that are normalised at a time
_STEPS = 127  # int8 runs over -127..127
_BEYOND = {"int8": 2.0**30, "float32": 2.0**126}  # more than any screened value
_SAMPLE = 32  # chunks that give the first limits
_WIDEST = 2**12  # columns that are rotated; sums of 2**16 int8 products fit 32 bits
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
        screen: "int8", which needs a processor with VNNI, "float32", or "auto", the faster. No result depends on it.

    Raises:
        ArgumentError: a vector is not finite, candidates are out of range, or this processor has no VNNI.
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
        self.n_items, self.dim = vectors.shape
        possible = HAS_INT8 and self.dim <= _WIDEST
        if screen == "int8" and not possible:
            rule = f"be float32 without VNNI instructions or beyond {_WIDEST:,} columns"
            checks.fail("screen", rule, screen, 'Leave it at "auto".')
        self.screen = ("int8" if possible else "float32") if screen == "auto" else screen
        index = np.arange(self.n_items, dtype=np.int32) if candidates is None else _candidates(candidates, self.n_items)
        self.n_candidates = len(index)
        lengths = np.sqrt(np.einsum("id,id->i", vectors, vectors, dtype=np.float64))
        largest = np.zeros(self.n_items, dtype=np.float32)
        self.rotation: NDArray[np.float32] | None = None
        if self.screen == "int8":
            self.rotation = _rotation(self.dim)
            rotated = np.empty_like(vectors)
            rotate_rows(vectors, self.rotation, rotated, largest)
        # long vectors first, in quarter octaves, so that chunks are alike and the k-th score rises early
        octaves = np.rint(4 * np.log2(np.maximum(lengths, 1e-30)))
        index = index[np.argsort(-octaves[index], kind="stable")]
        # rows in this order, padded to whole chunks with zeros
        n_chunks = -(-self.n_candidates // CHUNK)
        padding = n_chunks * CHUNK - self.n_candidates

        def of_chunks(values: NDArray[Any]) -> NDArray[Any]:
            most: NDArray[Any] = np.pad(values, (0, padding)).reshape(n_chunks, CHUNK).max(1, initial=0)
            return most

        self.index = np.pad(index, (0, padding), constant_values=-1)
        self.vectors = np.zeros((len(self.index), self.dim), dtype=np.float32)
        np.take(vectors, index, axis=0, out=self.vectors[: self.n_candidates])
        self.length = of_chunks(lengths[index])
        if self.rotation is None:
            self.step, self.residual = np.ones(n_chunks, dtype=np.float32), np.zeros(n_chunks)
            self.packed = pack(self.vectors)
        else:
            self.step = _steps(of_chunks(largest[index]))
            whole, lost = _rounded(rotated, index, np.repeat(self.step, CHUNK), len(self.index))
            self.residual = of_chunks(lost)
            self.packed = pack(whole)
        # full chunks, from all over the catalogue
        n_sampled = min(_SAMPLE, n_chunks // 8)
        self.sample = np.arange(n_sampled, dtype=np.int64) * (n_chunks - 1) // max(n_sampled, 1)
        self.sampled = np.zeros(self.n_items, dtype=np.bool_)
        self.sampled[self.index.reshape(n_chunks, CHUNK)[self.sample]] = True


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

    seen = SeenItems(read_only(seen.indptr, np.int64), read_only(seen.indices, np.int32), rows)
    index = np.full((n, k), -1, dtype=np.int32)
    score = np.full((n, k), -np.inf, dtype=np.float32)
    starts = range(0, n, _BLOCK)

    def run(start: int) -> None:
        part = slice(start, start + _BLOCK)
        _rank_block(user_vectors[part], catalogue, seen, rows[part], index[part], score[part])

    if min(threads, len(starts)) <= 1:
        for start in starts:
            run(start)
    else:
        with ThreadPoolExecutor(threads, "top-k") as pool:
            for done in [pool.submit(run, start) for start in starts]:
                done.result()
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
    scaled = np.empty(table.shape, dtype=np.float32)
    for start in range(0, len(table), _ROWS):  # the quotients are float64
        rows = table[start : start + _ROWS]
        lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
        scaled[start : start + _ROWS] = rows / np.maximum(lengths, 1e-12)[:, None]
    return scaled


def _rank_block(
    users: NDArray[np.float32],
    catalogue: Catalogue,
    seen: SeenItems,
    rows: NDArray[np.int64],
    index: NDArray[np.int32],
    score: NDArray[np.float32],
) -> None:
    """Fill ``index`` and ``score``, (b, k), with the lists of a block of users."""
    n, k = index.shape
    n_rows = -(-n // GROUP) * GROUP
    length = np.sqrt(np.einsum("nd,nd->n", users, users, dtype=np.float64))  # (b,)
    # what float32 arithmetic may lose of a dot product, relative to |u||v|: see _slack
    slack = length * _slack(catalogue.dim)
    if catalogue.rotation is None:
        screened: NDArray[Any] = np.pad(users, ((0, n_rows - n), (0, 0)))
        step, lost, shift = np.ones(n, dtype=np.float32), np.zeros(n), np.zeros(n)
    else:
        rotated, largest = np.empty((n, catalogue.dim), dtype=np.float32), np.empty(n, dtype=np.float32)
        rotate_rows(users, catalogue.rotation, rotated, largest)
        step = _steps(largest)
        whole, lost = _rounded(rotated, np.arange(n, dtype=np.int32), step, n_rows)
        screened, shift = whole.view(np.int32), raised(whole)
    user_bounds = (1 / step.astype(np.float64), length + lost, lost + slack, shift)
    chunk_bounds = (1 / catalogue.step.astype(np.float64), catalogue.residual, catalogue.length)
    seen_items = (seen.indptr, seen.indices, rows)
    lowest = np.full(n, -np.inf)
    if len(catalogue.sample) and k <= CHUNK:
        less, peaks = np.zeros(n_rows, dtype=np.float32), np.full((n_rows, CHUNK), -np.inf, dtype=np.float32)
        sample(screened, catalogue.packed, catalogue.sample, user_bounds, chunk_bounds, less, peaks)
        n_seen = np.empty(n, dtype=np.int64)
        count_seen(catalogue.sampled, seen_items, n_seen)
        place = CHUNK - k - n_seen  # in increasing order; below 0 not even the lowest will do
        reached = np.sort(peaks[:n], axis=1)[np.arange(n), np.maximum(place, 0)]
        lowest = np.where(place >= 0, reached * step.astype(np.float64) - slack * catalogue.length.max(), -np.inf)
    keys = np.zeros((n, k), dtype=np.uint64)
    scan(
        users,
        screened,
        (catalogue.vectors, catalogue.index, catalogue.packed),
        user_bounds,
        slack,
        chunk_bounds,
        seen_items,
        _BEYOND[catalogue.screen],
        np.zeros(n_rows, dtype=catalogue.packed.dtype),
        lowest,
        keys,
    )
    index[:], score[:] = unpack(np.sort(keys, axis=1)[:, ::-1])


def _steps(largest: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of a step, 127 of which reach the ``largest`` entry."""
    step: NDArray[np.float32] = largest / np.float32(_STEPS)
    return np.where(step > 0, step, np.float32(1))


def _rounded(
    vectors: NDArray[np.float32], index: NDArray[np.int32], step: NDArray[np.float32], n_rows: int
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return rows ``index`` in whole steps, padded with zeros to ``n_rows``, and the length of what each lost."""
    whole = np.zeros((n_rows, -(-vectors.shape[1] // 4) * 4), dtype=np.int8)
    lost = np.empty(len(index))
    round_rows(vectors, index, step, whole, lost)
    return whole, lost


@functools.cache
def _rotation(dim: int) -> NDArray[np.float32]:
    """Return a fixed random rotation (D, D).

    It leaves dot products as they are and spreads each vector over all its entries, so that 127 steps reach further.
    """
    normal = np.random.Generator(np.random.PCG64(0)).standard_normal((dim, dim))
    return np.ascontiguousarray(np.linalg.qr(normal)[0], dtype=np.float32)


def _slack(dim: int) -> float:
    """Return a bound, relative to |u||v|, on what float32 loses of a dot product of D terms, rotation included.

    Each of three chains of D float32 operations (rotating u, rotating v, the product; any order of summation) is off by
    at most D * 2**-24 relative to the lengths, times sqrt(D) for rotations (Higham 2002, 3.1, 3.5); then roundings.
    """
    return (4 * dim * math.sqrt(dim) + 16) * 2.0**-24


def read_only(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
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
