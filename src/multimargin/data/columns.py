"""Which column says what: names that people give to users, items, times and weights, and clean values out of them."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin.data.ids import Ids
from multimargin.data.problems import PlacedError, Report, shown
from multimargin.data.times import Times

Column = str | int | Literal[False] | None
"""A column by name or by position from 0; None: find it by its usual names; False: leave it out."""

ROLES = ("user", "item", "timestamp", "weight")

# Compared in lower case without punctuation, so "userid" is user_id, userId, User-ID and USERID; the first listed wins.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "user": (
        "userid", "user", "uid", "users", "username", "reviewerid", "customerid", "customer", "visitorid",
        "memberid", "accountid", "profileid", "profile", "playerid", "sessionid",
    ),
    "item": (
        "itemid", "item", "iid", "items", "movieid", "movie", "parentasin", "asin", "productid", "product",
        "bookid", "isbn", "trackid", "songid", "artistid", "businessid", "newsid", "articleid", "animeid",
        "gameid", "videoid", "showid", "recipeid", "venueid", "locationid", "poiid", "sku",
    ),
    "timestamp": (
        "timestamp", "ts", "time", "datetime", "date", "unixreviewtime", "createdat", "eventtime", "reviewtime",
    ),
    "weight": (
        "weight", "rating", "ratings", "score", "stars", "overall", "playcount", "plays", "count",
    ),
}  # fmt: skip

# What programs write where an id is missing. Such text as an id would silently become one very popular user.
MISSING = ("", "nan", "NaN", "NAN", "null", "NULL", "Null", "None", "<NA>", "\\N")


@dataclass(frozen=True)
class Table:
    """The columns of one source, row by row as they came.

    Args:
        where: file or frame, for messages.
        user: ids, text or integers; as a series where they are indices.
        item: ids, text or integers, likewise.
        timestamp: Int64 or Float64, or None.
        weight: Float32, or None.
        typed: the source says whether an id is text or a number, as Parquet and frames do.
        indexed: ids are positions 0..n-1 as in LightGCN's files; ``n_users`` and ``n_items`` then count them.
        n_users: for indexed ids, the largest user + 1, users without items included.
        n_items: for indexed ids, the largest item + 1.
        names: names of the columns that were taken, for those that have one.
        remarks: suspicious things that reading does not stop at.
    """

    where: str
    user: pl.Series | Ids
    item: pl.Series | Ids
    timestamp: pl.Series | None = None
    weight: pl.Series | None = None
    typed: bool = False
    indexed: bool = False
    n_users: int = 0
    n_items: int = 0
    names: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[PlacedError, ...] = ()


def normalise(name: str) -> str:
    """Return a column name as ``ALIASES`` spells it."""
    return re.sub(r"[\W_]+", "", name.casefold())


def role_of(name: str) -> str | None:
    """Return what a column of this name usually holds, or None."""
    return next((role for role, names in ALIASES.items() if normalise(name) in names), None)


def choose_columns(names: Sequence[str], asked: Mapping[str, Column], where: str) -> dict[str, int]:
    """Return the position of the column for each role that has one.

    Args:
        names: the columns there are.
        asked: what the caller wants for each role.
        where: the place that messages name.

    Raises:
        PlacedError: a column asked for, or one for users or items, is not there.
    """
    there = f"The columns there: {', '.join(names)}."
    chosen: dict[str, int] = {}
    for role in ROLES:
        wanted = asked.get(role)
        if wanted is False:
            if role in ("user", "item"):
                raise PlacedError(where, f"{role} must name a column; got False", there)
            continue
        if isinstance(wanted, int):
            if not 0 <= wanted < len(names):
                raise PlacedError(where, f"{role} must be a column from 0 to {len(names) - 1}; got {wanted}", there)
            chosen[role] = wanted
        elif wanted is not None:
            if wanted not in names:
                raise PlacedError(
                    where, f"{role} must name a column; there is no {wanted!r}", f"{_near(wanted, names)}{there}"
                )
            chosen[role] = names.index(wanted)
        else:
            normalised = [normalise(name) for name in names]
            taken = set(chosen.values()) | {
                names.index(each) for each in asked.values() if isinstance(each, str) and each in names
            }
            found = (normalised.index(alias) for alias in ALIASES[role] if alias in normalised)
            position = next((each for each in found if each not in taken), None)
            if position is not None:
                chosen[role] = position
            elif role in ("user", "item"):
                near = [name for name in names if get_close_matches(normalise(name), ALIASES[role], n=1, cutoff=0.75)]
                hint = f"Did you mean {role}={near[0]!r}? " if near else f"Name it with {role}=... . "
                raise PlacedError(
                    where, f"the header must name a column of {role}s; none has a usual name", f"{hint}{there}"
                )
    if chosen["user"] == chosen["item"]:
        raise PlacedError(where, f"user and item must be two columns; both are {names[chosen['user']]!r}", there)
    return chosen


@dataclass
class _Problem:
    """What is wrong with some rows: the first of them, and how many they are."""

    where: str
    what: str
    way_out: str
    count: int


class Cleaner:
    """Turns raw columns, block by block, into a ``Table``: ids untouched, times and weights as numbers.

    Args:
        where: the file or frame.
        report: receives the first problem of each kind, once all blocks are there; rows that have one are dropped
            where it returns.
        min_weight: keep only rows whose weight is at least this.
        typed: see ``Table``.
        names: role -> name of its column.
    """

    def __init__(
        self,
        where: str,
        report: Report,
        *,
        min_weight: float | None = None,
        typed: bool = False,
        names: Mapping[str, str] | None = None,
    ):
        self._where, self._report, self._min_weight = where, report, min_weight
        self._typed, self._names = typed, dict(names or {})
        self._problems: dict[str, _Problem] = {}
        self._ids = {"user": Ids(typed), "item": Ids(typed)}
        self._numbers: dict[str, list[NDArray[Any]]] = {"timestamp": [], "weight": []}
        self._times = Times()
        self._n_weighed, self._largest = 0, -math.inf

    def add(
        self, columns: Mapping[str, pl.Series], *, place: Callable[[int], str], bad: pl.Series | None = None
    ) -> None:
        """Take a block of rows.

        Args:
            columns: role -> raw column, all of one length.
            place: names a row of the block, counted from 0, in messages.
            bad: rows already reported and to be dropped.

        Raises:
            UndecidedError: its times are of another kind than those of the blocks before.
        """
        dropped = pl.Series([False]).new_from_index(0, len(columns["user"])) if bad is None else bad
        values: dict[str, pl.Series] = {}

        def drop(role: str, wrong: pl.Series, rule: str, way_out: str) -> None:
            nonlocal dropped
            wrong = wrong.fill_null(value=True) & ~dropped
            count = int(wrong.sum())
            if count:
                row = int(wrong.arg_max() or 0)
                got: object = columns[role][row]
                found = "nothing" if got is None or got == "" else shown(got)
                problem = _Problem(place(row), f"{self._name(role)} must {rule}; got {found}", way_out, 0)
                self._problems.setdefault(role, problem).count += count
                dropped = dropped | wrong

        for role in ("user", "item"):
            column = _as_ids(columns[role], role, self._where)
            missing = column.is_null()
            if column.dtype == pl.String:
                missing = missing | column.is_in(MISSING).fill_null(value=True)
            drop(role, missing, "hold an id", "Fill it in or delete that row.")
            values[role] = column
        for role, convert, rule in (
            ("timestamp", self._times.add, "be a number or a date (2020-02-29 or 2020-02-29T12:00:00Z)"),
            ("weight", _to_weights, "be a finite number"),
        ):
            if role in columns:
                values[role] = convert(columns[role])
                drop(role, values[role].is_null(), rule, f"Mend it, or pass {role}=False to leave that column out.")
        keep = ~dropped
        if self._min_weight is not None and "weight" in values:
            weights = values["weight"].filter(keep)
            self._n_weighed += len(weights)
            self._largest = max([self._largest, *weights.top_k(1)])
            keep = keep & (values["weight"] >= self._min_weight).fill_null(value=False)
        if not keep.all():
            values = {role: column.filter(keep) for role, column in values.items()}
        for role, ids in self._ids.items():
            ids.add(values[role])
        if "timestamp" in values:
            self._numbers["timestamp"].append(values["timestamp"].to_numpy())
        if "weight" in values:
            self._numbers["weight"].append(values["weight"].to_numpy().astype(np.float32))

    def table(self) -> Table:
        """Report what was wrong and return what is left.

        Raises:
            PlacedError: ``min_weight`` has nothing to compare with, or keeps nothing.
        """
        for role in ROLES:
            if role in self._problems:
                problem = self._problems[role]
                more = "" if problem.count == 1 else f", and in {problem.count - 1:,} more rows"
                self._report(PlacedError(problem.where, f"{problem.what}{more}", problem.way_out))
        if self._min_weight is not None:
            if not self._numbers["weight"]:
                what = f"min_weight={self._min_weight} must have weights to compare with; there is no such column"
                raise PlacedError(self._where, what, "Name the column of ratings with weight=... .")
            if self._n_weighed and not len(self._ids["user"]):
                largest = shown(self._largest)
                what = f"min_weight must keep something; the largest weight is {largest}, got {self._min_weight}"
                raise PlacedError(self._where, what, "Lower it.")
        timestamp, weight = (
            pl.Series(role, np.concatenate(blocks)) if blocks else None for role, blocks in self._numbers.items()
        )
        return Table(
            self._where,
            user=self._ids["user"],
            item=self._ids["item"],
            timestamp=timestamp,
            weight=weight,
            typed=self._typed,
            names=self._names,
        )

    def _name(self, role: str) -> str:
        named = self._names.get(role, role)
        return f"{role} (column {named!r})" if named != role else role


def _as_ids(column: pl.Series, role: str, where: str) -> pl.Series:
    if column.dtype in (pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if column.dtype == pl.String or column.dtype == pl.UInt64:
        return column
    if column.dtype.is_integer():
        return column.cast(pl.Int64)
    if column.dtype == pl.Null:
        return column.cast(pl.String)
    if column.dtype.is_float() and (column.is_null() | column.is_nan()).any():
        # what pandas makes of integers with a hole; the hole is the news, not the type
        return pl.select(pl.when(column.is_nan().not_()).then(column)).to_series().cast(pl.Int64, strict=False)
    way_out = "Convert the column to text or integers first."
    raise PlacedError(where, f"{role} ids must be text or integers; column {column.name!r} is {column.dtype}", way_out)


def _to_weights(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    numbers = column.cast(pl.Float64, strict=False)
    return pl.select(pl.when(numbers.is_finite()).then(numbers)).to_series()


def _near(name: str, names: Sequence[str]) -> str:
    spelled = {normalise(each): each for each in names}
    close = get_close_matches(normalise(name), spelled, n=1)
    return f"Did you mean {spelled[close[0]]!r}? " if close else ""
