"""What is wrong or suspicious in a user's data, found before anything trains: as much as possible at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin.data.columns import ROLES, Table
from multimargin.data.folders import find_log, find_parts
from multimargin.data.interactions import Interactions
from multimargin.data.problems import PlacedError
from multimargin.data.readers import assemble, read_table, split_of
from multimargin.data.sources import must_exist
from multimargin.data.splits import Split
from multimargin.data.times import as_text, per_second
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import DataError

Level = Literal["error", "warning", "note"]
_LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong ("error"), suspicious ("warning") or good to know ("note").

    Args:
        level: "error": it cannot be used, or numbers from it would be false; "warning": probably not meant; "note".
        where: file and line, or part of the data.
        what: what was found.
        way_out: what to do about it.
    """

    level: Level
    where: str
    what: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.what}. {self.way_out}".rstrip()


def check_data(path: str | Path, *, min_items: int = 5, **options: Any) -> list[Finding]:
    """Check a file or a folder and return what was found, errors first; an empty list is a clean bill.

    Rows that cannot be read are reported and left out, and the checks go on with the others.

    Args:
        path: a log, or a folder of parts.
        min_items: users with fewer interactions than this are counted in a note.
        options: see ``multimargin.data.readers.read_interactions``.
    """
    findings: list[Finding] = []

    def collect(problem: PlacedError) -> None:
        findings.append(Finding("error", problem.where, problem.what, problem.way_out))

    try:
        path = must_exist(Path(path))
        files = find_parts(path) or {"log": find_log(path) if path.is_dir() else path}
    except PlacedError as problem:
        collect(problem)
        return findings
    asked = {role: options.pop(role, None) for role in ROLES}
    tables: dict[str, Table] = {}
    for name, file in files.items():
        user_lines = True if name != "train" and "train" in tables and tables["train"].indexed else None
        try:
            tables[name] = read_table(file, asked, report=collect, user_lines=user_lines, **options)
        except PlacedError as problem:
            collect(problem)
        else:
            remarks = tables[name].remarks
            findings += [Finding(_level(remark), remark.where, remark.what, remark.way_out) for remark in remarks]
    if not tables or set(tables) != set(files):
        return _sorted(findings)
    try:
        logs = assemble(list(tables.values()))
    except DataError as error:
        where = str(path)
        collect(error if isinstance(error, PlacedError) else PlacedError(where, str(error).rstrip("."), ""))
        return _sorted(findings)
    for file, table, log in zip(files.values(), tables.values(), logs, strict=True):
        findings += _check_log(str(file), table, log)
    if "train" in files:
        findings += _check_parts(path, split_of(files, logs))
        findings += _check_users(f"{path} (train)", logs[0], min_items)
    else:
        findings += _check_users(str(path), logs[0], min_items)
    for vocabulary in (logs[0].users, logs[0].items):
        findings += _check_ids(str(path), vocabulary)
    return _sorted(findings)


def _sorted(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: _LEVELS.index(finding.level))


def _level(remark: PlacedError) -> Level:
    return "note" if remark.way_out.startswith("Legal") else "warning"


def _check_log(where: str, table: Table, log: Interactions) -> Iterator[Finding]:
    """What one file shows by itself: repeats, odd times, ratings taken for clicks."""
    if log.n_duplicates:
        rows = len(log) + log.n_duplicates
        level: Level = "warning" if log.n_duplicates > 0.1 * rows else "note"
        what = f"{log.n_duplicates:,} of {rows:,} rows repeat an earlier pair of user and item"
        yield Finding(level, where, what, "They collapse into one, at the earliest time.")
    if log.timestamps is not None and len(log):
        yield from _check_times(where, log.timestamps)
    if log.weights is not None and len(log):
        least, largest = float(log.weights.min()), float(log.weights.max())
        name = table.names.get("weight", "weight")
        if least < largest:
            what = f"{name} goes from {least:g} to {largest:g}, and every row counts as a positive whatever it says"
            level = "warning" if least < 0 else "note"
            yield Finding(
                level, where, what, f"To keep the liked only, read with min_weight={_upper(log.weights):g}, say."
            )


def _upper(weights: NDArray[np.float32]) -> float:
    return float(np.quantile(weights, 0.6, method="inverted_cdf"))


def _check_times(where: str, times: NDArray[np.number]) -> Iterator[Finding]:
    if times.min() == times.max():
        what = f"all {len(times):,} timestamps are {as_text(times[0].item(), like=times)}"
        yield Finding("warning", where, what, "Nothing can be split by time; is it the right column?")
        return
    units = per_second(times)
    odd = int((times <= 0).sum())
    if odd:
        yield Finding(
            "warning",
            where,
            f"{odd:,} timestamps are 0 or negative",
            "They count as the earliest; are they missing values?",
        )
    positive = times[times > 0]
    small = positive < positive.max() / 200  # 1e9 s and 1e12 ms are 1000 apart, 1975 and 2100 are 26
    if units > 1 and small.any():
        what = f"{int(small.sum()):,} timestamps are hundreds of times smaller than the others"
        yield Finding("warning", where, what, "Are seconds and milliseconds mixed? Bring them to one unit.")
    elif units == 1 and float(times.max()) > 4_102_444_800:  # 2100-01-01
        what = f"the latest timestamp is {times.max()}, after the year 2100 if in seconds"
        yield Finding("warning", where, what, "Are units mixed? Bring them to one unit.")


def _check_parts(path: Path, split: Split) -> Iterator[Finding]:
    """What parts show against each other."""
    train = split.train
    parts: Mapping[str, Interactions] = split.parts
    if split.test is None:
        yield Finding(
            "note", str(path), "there is no test part", "Split train, or add a test file, to measure a model."
        )
    for name, part in parts.items():
        if not len(part):
            yield Finding(
                "warning", f"{path} ({name})", "the part holds no interaction", "Nothing is learnt or measured from it."
            )
    others = [(name, part) for name, part in parts.items() if name != "train"]
    for position, (name, part) in enumerate(others):
        where = f"{path} ({name})"
        for other_name, other in [("train", train), *others[:position]]:
            common = np.flatnonzero(part.are_in(other))
            if len(common):
                example = _pair(part, int(common[0]))
                what = f"{len(common):,} of {len(part):,} pairs are in {other_name} too, such as {example}"
                way_out = (
                    f"Delete them from {name}: what was seen before is never recommended, so it can only be missed."
                )
                yield Finding("error", where, what, way_out)
        users = np.flatnonzero((part.user_counts > 0) & (train.user_counts == 0))
        if len(users):
            what = f"{len(users):,} users are in {name} but not in train, such as {part.users.ids(users[:1])[0]!r}"
            yield Finding("warning", where, what, "A model cannot know them; their numbers measure chance.")
        items = np.flatnonzero((part.item_counts > 0) & (train.item_counts == 0))
        if len(items):
            what = f"{len(items):,} items are in {name} but not in train, such as {part.items.ids(items[:1])[0]!r}"
            yield Finding(
                "warning", where, what, "A model cannot learn them; whoever has them in the list has them by chance."
            )
        if train.timestamps is not None and part.timestamps is not None and len(part) and len(train):
            late = int((train.timestamps > part.timestamps.min()).sum())
            if late:
                begin = as_text(part.timestamps.min().item(), like=part.timestamps)
                what = f"{late:,} of {len(train):,} training interactions are later than the first of {name}, {begin}"
                yield Finding(
                    "warning", where, what, "A model learns from the future; split with ByTime if it must not."
                )


def _pair(log: Interactions, at: int) -> str:
    user = log.users.ids(log.user_index[at : at + 1])[0]
    item = log.items.ids(log.indices[at : at + 1])[0]
    return f"user {user!r} and item {item!r}"


def _check_users(where: str, log: Interactions, min_items: int) -> Iterator[Finding]:
    """What degrees and size show."""
    counts = log.user_counts
    active = int((counts > 0).sum())
    few = int(((counts > 0) & (counts < min_items)).sum())
    if few:
        singles = int((counts == 1).sum())
        what = f"{few:,} of {active:,} users have fewer than {min_items} interactions, {singles:,} of them only one"
        way_out = "Little can be learnt of them, and nothing held back of a single one; k_core drops them."
        yield Finding("warning" if few > active / 2 else "note", where, what, way_out)
    idle = int((log.item_counts == 0).sum())
    if idle:
        yield Finding("note", where, f"{idle:,} of {log.n_items:,} items have no interaction", "They cannot be learnt.")
    if not len(log):
        return
    most = int(counts.argmax())
    if counts[most] > max(1000, 100 * np.median(counts[counts > 0])):
        what = (
            f"user {log.users.ids(np.array([most]))[0]!r} has {counts[most]:,} interactions, over 100 times the median"
        )
        yield Finding(
            "warning", where, what, "Is it a program, a shared account or a missing id? It weighs in every step."
        )
    popular = int(log.item_counts.argmax())
    if active >= 20 and log.item_counts[popular] > 0.5 * active:
        share = log.item_counts[popular] / active
        what = f"item {log.items.ids(np.array([popular]))[0]!r} is with {share:.0%} of the users"
        yield Finding("note", where, what, "If everybody gets it anyway, leave it out.")
    if len(log) > 0.5 * log.n_users * log.n_items and log.n_users >= 20:
        what = f"{len(log) / (log.n_users * log.n_items):.0%} of all pairs occur"
        yield Finding(
            "warning", where, what, "Ranking has little to choose from; are impressions counted as interactions?"
        )
    if log.n_users > 20 and log.n_items < 10:
        what = f"there are {log.n_items} items for {log.n_users:,} users"
        yield Finding("warning", where, what, "Is the right column taken for the items?")


def _check_ids(where: str, vocabulary: Vocabulary) -> Iterator[Finding]:
    """Ids that a person would take for one."""
    ids = vocabulary.series
    if ids.dtype != pl.String:
        return
    kind = vocabulary.kind
    padded = ids.filter(ids.str.strip_chars() != ids)
    if len(padded):
        what = f"{len(padded):,} {kind} ids begin or end with a space, such as {padded[0]!r}"
        yield Finding("warning", where, what, "They differ from the ids without; strip them if that is not meant.")
    for alike, how in (
        (ids.str.strip_chars().str.to_lowercase(), "case or spaces"),
        (ids.str.replace(r"^0+(\d)", "${1}"), "zeros in front"),
        (ids.str.replace(r"^(\d+)\.0$", "${1}"), "a '.0' at the end"),
    ):
        repeated = alike.is_duplicated()
        count = int(repeated.sum())
        if count:
            first = ids.filter(alike == alike.filter(repeated)[0]).to_list()
            what = f"{count:,} {kind} ids differ only by {how}, such as {first[0]!r} and {first[1]!r}"
            yield Finding("warning", where, what, "They count as different; make them one if that is not meant.")
