"""Who touched what: an immutable sparse matrix of users and items with the outside ids of both."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import scipy.sparse

    from multimargin.data.splits import Split, SplitStrategy

_BLOCK = 1 << 22  # interactions that are worked on at a time


@dataclass(frozen=True, eq=False)
class Interactions:
    """Distinct (user, item) pairs in compressed rows, items increasing within each user.

    Build one with ``read`` (a file or folder), ``from_frame`` (pandas, polars, Arrow) or ``from_pairs`` (indices).

    Args:
        indptr: (U+1,) int64; user ``u``'s items are ``indices[indptr[u]:indptr[u+1]]``.
        indices: (n,) int32 item indices, increasing within a user.
        users: outside user ids, U of them.
        items: outside item ids, I of them.
        timestamps: (n,) int64 or float64, or None; of a pair that occurs more than once, the first.
        weights: (n,) float32, or None; of a pair that occurs more than once, the one at the first time.
        n_duplicates: how many rows of the source repeated an earlier pair and were dropped.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    users: Vocabulary
    items: Vocabulary
    timestamps: NDArray[Any] | None = None
    weights: NDArray[np.float32] | None = None
    n_duplicates: int = field(default=0)

    def __post_init__(self) -> None:
        for array in (self.indptr, self.indices, self.timestamps, self.weights):
            if array is not None:
                array.setflags(write=False)

    @classmethod
    def from_pairs(
        cls,
        user_index: NDArray[np.integer],
        item_index: NDArray[np.integer],
        users: Vocabulary,
        items: Vocabulary,
        *,
        timestamps: NDArray[Any] | None = None,
        weights: NDArray[Any] | None = None,
        n_duplicates: int = 0,
    ) -> "Interactions":
        """Build from parallel arrays of indices in any order; repeated pairs collapse into the earliest, counted.

        Args:
            user_index: (n,) integers in [0, U).
            item_index: (n,) integers in [0, I).
            users: the U outside user ids.
            items: the I outside item ids.
            timestamps: (n,) numbers, or None.
            weights: (n,) numbers, or None.
            n_duplicates: repeats that were already dropped on the way here.
        """
        user_index, item_index = _integers(user_index), _integers(item_index)
        if user_index.shape != item_index.shape or user_index.ndim != 1:
            raise DataError(
                f"user and item arrays must be flat and of one length; got {user_index.shape}, {item_index.shape}."
            )
        for name, index, size in (("user", user_index, len(users)), ("item", item_index, len(items))):
            if len(index) and (index.min() < 0 or index.max() >= size):
                raise DataError(f"{name} indices must be in [0, {size}); got {index.min()}..{index.max()}.")
        width = np.int64(max(len(items), 1))
        keys = np.multiply(user_index, width, dtype=np.int64)
        keys += item_index
        n, order = len(keys), None
        # the earliest of each pair: by time where there is one, else by place in the source
        if not (keys[1:] > keys[:-1]).all():  # many files are sorted already
            if timestamps is None and weights is None:
                keys.sort()  # nothing tells one of a pair from another
            else:
                order = np.argsort(keys, kind="stable") if timestamps is None else np.lexsort((timestamps, keys))
                keys = keys[order]
            first = np.ones(n, dtype=bool)
            np.not_equal(keys[1:], keys[:-1], out=first[1:])
            if not first.all():
                keys, order = keys[first], None if order is None else order[first]

        def of_kept(values: NDArray[Any]) -> NDArray[Any]:
            return np.array(values) if order is None else np.asarray(values)[order]

        indptr = np.searchsorted(keys, np.arange(len(users) + 1, dtype=np.int64) * width)
        keys %= width
        return cls(
            indptr=indptr.astype(np.int64),
            indices=keys.astype(np.int32),
            users=users,
            items=items,
            timestamps=None if timestamps is None else of_kept(timestamps),
            weights=None if weights is None else of_kept(weights).astype(np.float32),
            n_duplicates=n_duplicates + n - len(keys),
        )

    @classmethod
    def read(cls, path: "str | Path", **options: Any) -> "Interactions":
        """Read a file or folder; see ``multimargin.data.readers.read_interactions`` for formats and options."""
        from multimargin.data.readers import read_interactions

        return read_interactions(path, **options)

    @classmethod
    def from_frame(cls, frame: Any, **options: Any) -> "Interactions":
        """Take a pandas, polars or Arrow frame; see ``multimargin.data.readers.from_frame`` for options."""
        from multimargin.data.readers import from_frame

        return from_frame(frame, **options)

    def split(self, strategy: "SplitStrategy", *, rng: int | np.random.Generator = 0) -> "Split":
        """Split into (train, valid, test) that share these vocabularies; unpacks like a tuple."""
        return strategy.split(self, rng=rng)

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"Interactions({len(self):,} of {self.n_users:,} users and {self.n_items:,} items)"

    @property
    def n_users(self) -> int:
        """U, users without interactions included."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """I, items without interactions included."""
        return len(self.items)

    @cached_property
    def user_index(self) -> NDArray[np.int32]:
        """(n,) int32: the user of each interaction."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.indptr))

    @cached_property
    def user_counts(self) -> NDArray[np.int64]:
        """(U,) interactions of each user."""
        return np.diff(self.indptr)

    @cached_property
    def item_counts(self) -> NDArray[np.int64]:
        """(I,) interactions of each item."""
        return count(self.indices, self.n_items)

    def items_of(self, user: int) -> NDArray[np.int32]:
        """Return the item indices of user index ``user``, increasing."""
        return self.indices[self.indptr[user] : self.indptr[user + 1]]

    def are_in(self, other: "Interactions") -> NDArray[np.bool_]:
        """Return which of these pairs, (n,), are in ``other`` too, which must share these vocabularies."""
        width = np.int64(max(self.n_items, 1))
        found = np.zeros(len(self), dtype=bool)
        for first, last in self.user_blocks():
            mine, theirs = (
                np.multiply(log.user_index[part], width, dtype=np.int64) + log.indices[part]
                for log in (self, other)
                for part in (slice(log.indptr[first], log.indptr[last]),)
            )
            if len(theirs):
                places = np.minimum(np.searchsorted(theirs, mine), len(theirs) - 1)
                found[self.indptr[first] : self.indptr[last]] = theirs[places] == mine
        return found

    def user_blocks(self) -> Iterator[tuple[int, int]]:
        """Return ranges of users that cover all of them, with some millions of interactions each."""
        first = 0
        while first < self.n_users:
            last = int(np.searchsorted(self.indptr, self.indptr[first] + _BLOCK, side="right")) - 1
            last = min(max(last, first + 1), self.n_users)
            yield first, last
            first = last

    def select(self, keep: NDArray[np.bool_]) -> "Interactions":
        """Return the interactions where the mask ``keep`` (n,) is true, vocabularies unchanged."""
        counts = count(self.user_index[keep], self.n_users)
        return Interactions(
            indptr=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
            indices=self.indices[keep],
            users=self.users,
            items=self.items,
            timestamps=None if self.timestamps is None else self.timestamps[keep],
            weights=None if self.weights is None else self.weights[keep],
        )

    def union(self, others: Sequence["Interactions"]) -> "Interactions":
        """Return these interactions and those of ``others``, which must share these vocabularies."""
        parts = [self, *others]
        for part in others:
            if part.users != self.users or part.items != self.items:
                raise DataError("parts must share their vocabularies; read or split them together.")
        has_times = all(part.timestamps is not None for part in parts)
        has_weights = all(part.weights is not None for part in parts)
        return Interactions.from_pairs(
            np.concatenate([part.user_index for part in parts]),
            np.concatenate([part.indices for part in parts]),
            self.users,
            self.items,
            timestamps=np.concatenate([part.timestamps for part in parts if part.timestamps is not None])
            if has_times
            else None,
            weights=np.concatenate([part.weights for part in parts if part.weights is not None])
            if has_weights
            else None,
            n_duplicates=sum(part.n_duplicates for part in parts),
        )

    def within(self, users: Vocabulary, items: Vocabulary) -> "Interactions":
        """Return the same interactions by the indices of vocabularies that hold all of these ids, in any order."""
        return Interactions.from_pairs(
            users.indices(self.users.series)[self.user_index],
            items.indices(self.items.series)[self.indices],
            users,
            items,
            timestamps=self.timestamps,
            weights=self.weights,
            n_duplicates=self.n_duplicates,
        )

    def extended(self, users: Vocabulary, items: Vocabulary) -> "Interactions":
        """Return the same interactions with longer vocabularies, which begin with these."""
        empty = np.full(len(users) - self.n_users, self.indptr[-1])
        return replace(self, indptr=np.concatenate((self.indptr, empty)), users=users, items=items)

    def to_csr(self) -> "scipy.sparse.csr_array[Any, tuple[int, int]]":
        """Return a (U, I) float32 scipy CSR array of weights (1 where there are none)."""
        import scipy.sparse

        values = np.ones(len(self), dtype=np.float32) if self.weights is None else self.weights
        return scipy.sparse.csr_array((values, self.indices, self.indptr), shape=(self.n_users, self.n_items))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of pairs, times, weights and vocabularies: equal data, equal hash, whatever file it came from."""
        digest = hashlib.sha256()
        for array in (self.indptr, self.indices, self.timestamps, self.weights):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).data)
        digest.update(self.users.fingerprint.encode())
        digest.update(self.items.fingerprint.encode())
        return digest.hexdigest()


def count(index: NDArray[np.integer], size: int) -> NDArray[np.int64]:
    """Return how often each of 0..size-1 is in ``index``; ``bincount`` makes all of it int64 first."""
    counts = np.zeros(size, dtype=np.int64)
    step = max(_BLOCK, size)
    for start in range(0, len(index), step):
        counts += np.bincount(index[start : start + step], minlength=size)
    return counts


def _integers(index: NDArray[np.integer]) -> NDArray[np.integer]:
    index = np.asarray(index)
    return index if index.dtype in (np.int32, np.int64) else index.astype(np.int64)
