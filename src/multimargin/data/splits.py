"""One log becomes train, valid and test: per user at random, by each user's last, by points in time; and the k-core."""

import datetime as dt
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.data.times import as_text, to_number
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import DataError
from multimargin.rng import as_generator


@dataclass(frozen=True)
class Split:
    """Parts of one log; unpacks as ``train, valid, test``.

    Args:
        train: what a model learns from.
        valid: what settings and the stopping epoch are chosen on, or None.
        test: what is read once, at the end, or None.
    """

    train: Interactions
    valid: Interactions | None = None
    test: Interactions | None = None

    def __post_init__(self) -> None:
        for part in (self.valid, self.test):
            if part is not None and (part.users != self.train.users or part.items != self.train.items):
                raise DataError("parts must share their vocabularies; read them with read_parts or split one log.")

    def __iter__(self) -> Iterator[Interactions | None]:
        return iter((self.train, self.valid, self.test))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={len(part):,}" for name, part in self.parts.items())
        return f"Split({sizes} of {self.n_users:,} users and {self.n_items:,} items)"

    @property
    def parts(self) -> dict[str, Interactions]:
        """The parts there are, by name."""
        every = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: part for name, part in every.items() if part is not None}

    @property
    def n_users(self) -> int:
        """U, the same for each part."""
        return self.train.n_users

    @property
    def n_items(self) -> int:
        """I, the same for each part."""
        return self.train.n_items

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the fingerprints of the three parts, in hex: equal splits, equal hash."""
        fingerprints = ["-" if part is None else part.fingerprint for part in (self.train, self.valid, self.test)]
        return hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()


class SplitStrategy(ABC):
    """Base of all ways to split a log."""

    @abstractmethod
    def split(self, interactions: Interactions, *, rng: int | np.random.Generator = 0) -> Split:
        """Split into parts that share the vocabularies of ``interactions`` and hold each interaction once.

        Args:
            interactions: the log.
            rng: a seed, whose stream "split" is used, or a generator.
        """


class RandomPerUser(SplitStrategy):
    """Hold back a random share of each user's interactions.

    Of a user's ``n`` interactions ``floor(test * n + 1/2)`` go to the test part and ``floor(valid * n + 1/2)`` to the
    validation part. Each user keeps at least one to learn from: where these would leave none, the validation part gives
    way first. So a user with a single interaction has it in train, whatever the shares.

    Args:
        valid: share for validation, at least 0 and below 1; with 0, there is no validation part.
        test: share for the test, likewise.

    Raises:
        ArgumentError: the shares leave nothing to learn from.
    """

    def __init__(self, valid: float = 0.1, test: float = 0.2):
        self.valid = checks.fraction("valid", valid)
        self.test = checks.fraction("test", test)
        if self.valid + self.test >= 1:
            checks.fail("valid + test", "be below 1", self.valid + self.test, "Leave something to learn from.")

    def split(self, interactions: Interactions, *, rng: int | np.random.Generator = 0) -> Split:
        """Split at random; the same seed splits equal data alike."""
        generator = as_generator(rng, "split")
        counts = interactions.user_counts
        n_test = np.minimum(_share(self.test, counts), np.maximum(counts - 1, 0))
        n_valid = np.minimum(_share(self.valid, counts), np.maximum(counts - 1 - n_test, 0))
        return _by_last(
            interactions,
            lambda block: generator.random(block.stop - block.start),
            n_valid,
            n_test,
            has_valid=self.valid > 0,
            has_test=self.test > 0,
        )


class LeaveLastOut(SplitStrategy):
    """Hold back each user's latest interactions: the last ``test``, before them the last ``valid``.

    Interactions of one user at the same time count in the order of their items. Each user keeps at least one to learn
    from: where there are too few, the validation part gives way first. Times of different users overlap, so a model may
    learn from what others did after a test interaction; ``ByTime`` does not let it.

    Args:
        valid: interactions of each user for validation, 0 or more; with 0, there is no validation part.
        test: interactions of each user for the test, likewise.
    """

    def __init__(self, valid: int = 1, test: int = 1):
        self.valid = checks.at_least("valid", valid, 0)
        self.test = checks.at_least("test", test, 0)

    def split(self, interactions: Interactions, *, rng: int | np.random.Generator = 0) -> Split:  # noqa: ARG002
        """Split by time; ``rng`` is not used.

        Raises:
            DataError: there are no timestamps.
        """
        times = _times(interactions, "LeaveLastOut")
        spare = np.maximum(interactions.user_counts - 1, 0)
        n_test = np.minimum(self.test, spare)
        n_valid = np.minimum(self.valid, spare - n_test)
        return _by_last(
            interactions, lambda block: times[block], n_valid, n_test, has_valid=self.valid > 0, has_test=self.test > 0
        )


class ByTime(SplitStrategy):
    """Learn from the past, measure on what came after one point in time, the same for all users.

    Args:
        valid: where the validation part begins: a point in time, or the share of interactions that it holds, or None
            for no validation part.
        test: where the test part begins, likewise, and of the same kind as ``valid``.

    A number above 0 and below 1 is a share, 0 is None, any other number is a point in the unit of the data. Text
    ("2020-02-29", or "2020-02-29T12:00:00Z") and ``datetime`` objects are points, in seconds, milliseconds,
    microseconds or nanoseconds since 1970 (UTC), whichever the data seem to count in. What happens exactly at a point
    belongs to the part that it begins; so a share may come out larger where many interactions have one time.
    """

    def __init__(self, valid: float | str | dt.date | None = None, test: float | str | dt.date | None = 0.2):
        valid, test = (None if point == 0 else point for point in (valid, test))
        points = [point for point in (valid, test) if point is not None]
        shares = [point for point in points if not isinstance(point, (str, dt.date)) and 0 < point < 1]
        if shares and len(shares) < len(points):
            checks.fail("valid and test", "both be shares or both be points in time", (valid, test))
        if sum(shares) >= 1:
            checks.fail("valid + test", "be below 1", sum(shares), "Leave something to learn from.")
        self._shares = bool(shares)
        self.valid = valid
        self.test = test

    def split(self, interactions: Interactions, *, rng: int | np.random.Generator = 0) -> Split:  # noqa: ARG002
        """Split by time; ``rng`` is not used.

        Raises:
            DataError: there are no timestamps, or a part would be empty.
        """
        times = _times(interactions, "ByTime")
        test_from = self._begin("test", self.test, times, 0.0)
        behind = self.test if self._shares and isinstance(self.test, float) else 0.0
        valid_from = self._begin("valid", self.valid, times, behind)
        if valid_from is not None and test_from is not None and valid_from > test_from:
            checks.fail("valid", "begin before test", self.valid, f"test begins at {self.test}.")
        in_test = np.zeros(len(times), dtype=bool) if test_from is None else times >= test_from
        in_valid = np.zeros(len(times), dtype=bool) if valid_from is None else (times >= valid_from) & ~in_test
        spoken_for = {"train": ~in_test & ~in_valid}
        spoken_for |= {"valid": in_valid} if valid_from is not None else {}
        spoken_for |= {"test": in_test} if test_from is not None else {}
        for name, mask in spoken_for.items():
            if not mask.any():
                span = (
                    f"{as_text(times.min(), like=times)} to {as_text(times.max(), like=times)}"
                    if len(times)
                    else "no time"
                )
                raise DataError(f"{name} must hold interactions; none is left for it. The data spans {span}.")
        selected = {name: interactions.select(mask) for name, mask in spoken_for.items()}
        return Split(selected["train"], selected.get("valid"), selected.get("test"))

    def _begin(
        self, name: str, point: float | str | dt.date | None, times: NDArray[np.number], behind: float
    ) -> float | np.number | None:
        if point is None or not len(times):
            return None
        if self._shares and isinstance(point, float):
            held = round((point + behind) * len(times))
            return np.partition(times, len(times) - held)[len(times) - held] if held else None
        try:
            return to_number(point, like=times)
        except ValueError:
            return checks.fail(
                name, "be a point in time or a share", point, "Write it as 2020-02-29 or 2020-02-29T12:00:00Z."
            )


class GivenParts(SplitStrategy):
    """Take the parts as they were given; where there is no validation part, carve one out of train if asked to.

    Args:
        valid: share of each user's training interactions for validation where none is given, at least 0 and below 1.
    """

    def __init__(self, valid: float = 0.1):
        self.valid = checks.fraction("valid", valid)

    def split(self, interactions: Interactions, *, rng: int | np.random.Generator = 0) -> Split:  # noqa: ARG002
        """Refuse: one log has no parts.

        Raises:
            DataError: always.
        """
        raise DataError(
            f"split 'given' must get data in parts; got one log of {len(interactions):,} interactions. "
            "Give a folder with train.* and test.*, or choose another split, such as random-per-user."
        )

    def complete(self, parts: Split, *, rng: int | np.random.Generator = 0) -> Split:
        """Return ``parts`` with a validation part: the one given, or one carved out of train."""
        if parts.valid is not None or self.valid == 0:
            return parts
        train, valid = carve_valid(parts.train, self.valid, rng)
        return Split(train, valid, parts.test)


def carve_valid(
    train: Interactions, fraction: float, rng: int | np.random.Generator = 0
) -> tuple[Interactions, Interactions]:
    """Return (train, valid): a random share of each user's interactions held back for validation.

    Args:
        train: interactions to learn from; each user keeps at least one of them.
        fraction: share for validation, above 0 and below 1; rounded as ``RandomPerUser`` does.
        rng: a seed, whose stream "split" is used, or a generator.
    """
    if checks.fraction("fraction", fraction) == 0:
        checks.fail("fraction", "be above 0", fraction)
    split = RandomPerUser(valid=fraction, test=0.0).split(train, rng=rng)
    assert split.valid is not None
    return split.train, split.valid


def k_core(interactions: Interactions, k_user: int, k_item: int | None = None) -> Interactions:
    """Drop users and items with few interactions until all that are left have enough of what is left.

    Args:
        interactions: the log.
        k_user: least number of items per user, 1 or more.
        k_item: least number of users per item; None: as many as ``k_user``.

    Returns:
        The largest such part of the log; ids that are gone are gone from its vocabularies too.

    Raises:
        DataError: nothing is left.
    """
    k_user = checks.positive_int("k_user", k_user)
    k_item = k_user if k_item is None else checks.positive_int("k_item", k_item)
    users, items = interactions.user_index, interactions.indices
    kept = np.arange(len(interactions))
    while True:
        enough_users = np.bincount(users[kept], minlength=interactions.n_users) >= k_user
        enough_items = np.bincount(items[kept], minlength=interactions.n_items) >= k_item
        stay = enough_users[users[kept]] & enough_items[items[kept]]
        if stay.all():
            break
        kept = kept[stay]
    if not len(kept):
        raise DataError(
            f"k_core must leave something; nothing has {k_user} items per user and {k_item} users per item. Lower them."
        )
    user_left, user_index = np.unique(users[kept], return_inverse=True)
    item_left, item_index = np.unique(items[kept], return_inverse=True)
    return Interactions.from_pairs(
        user_index,
        item_index,
        _subset(interactions.users, user_left),
        _subset(interactions.items, item_left),
        timestamps=None if interactions.timestamps is None else interactions.timestamps[kept],
        weights=None if interactions.weights is None else interactions.weights[kept],
        n_duplicates=interactions.n_duplicates,
    )


def _subset(vocabulary: Vocabulary, indices: NDArray[np.integer]) -> Vocabulary:
    ids: pl.Series = vocabulary.ids(indices)
    return Vocabulary(ids, kind=vocabulary.kind)


def _share(fraction: float, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    shares: NDArray[np.int64] = np.floor(fraction * counts + 0.5).astype(np.int64)
    return shares


def _times(interactions: Interactions, strategy: str) -> NDArray[np.number]:
    if interactions.timestamps is None:
        raise DataError(
            f"{strategy} must have timestamps to split by; the data has none. "
            "Name their column: Interactions.read(path, timestamp='...'), or use RandomPerUser."
        )
    return interactions.timestamps


def _by_last(
    interactions: Interactions,
    sort_keys: Callable[[slice], NDArray[np.number]],
    n_valid: NDArray[np.int64],
    n_test: NDArray[np.int64],
    *,
    has_valid: bool,
    has_test: bool,
) -> Split:
    """Give each user's last ``n_test`` in the order of ``sort_keys`` to test and the ``n_valid`` before to valid.

    Keys of equal size keep the order of items. They are asked for block by block, from the first interaction on.
    """
    part = np.zeros(len(interactions), dtype=np.int8)
    for first, last in interactions.user_blocks():
        block = slice(int(interactions.indptr[first]), int(interactions.indptr[last]))
        counts = interactions.user_counts[first:last]
        order = np.lexsort((sort_keys(block), interactions.user_index[block])) + block.start
        place = np.arange(block.start, block.stop) - np.repeat(interactions.indptr[first:last], counts)
        from_end = np.repeat(counts, counts) - place  # 1 for a user's last
        n_last = n_test[first:last]
        part[order] = from_end <= np.repeat(n_last + n_valid[first:last], counts)
        part[order[from_end <= np.repeat(n_last, counts)]] = 2
    return Split(
        interactions.select(part == 0),
        interactions.select(part == 1) if has_valid else None,
        interactions.select(part == 2) if has_test else None,
    )
