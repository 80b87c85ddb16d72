"""LightGCN's files: one line per user, ``user item item ...``, all of them indices; read without a loop over items."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin.data.columns import Table
from multimargin.data.problems import PlacedError, Report, shown
from multimargin.data.sources import Source

_MAX_DIGITS = 18  # the longest run of digits that always fits int64
_SPARE_INDICES = 1_000_000


def looks_like_user_lines(source: Source, *, named_part: bool) -> bool:
    """Tell a file of user lines from a table of numbers separated by spaces.

    Args:
        source: the file.
        named_part: it is called train.txt, valid.txt or test.txt, which speaks for user lines where both are possible.
    """
    texts = [line for _, line in source.head(1000)]
    if any(mark in line for line in texts for mark in ("\t", ",", ";", "|", "::")):
        return False
    lines = [line.split() for line in texts]
    numeric = sum(all(field.isascii() and field.isdigit() for field in line) for line in lines)
    # in a file named as LightGCN's, a stray word is an error to report, not a sign of another format
    if numeric < len(lines) and not (named_part and numeric > len(lines) / 2):
        return False
    lengths = {len(line) for line in lines}
    if len(lengths) > 1:
        return True
    # one length: "7 3" means the same in both; in user lines, no user has two
    each_once = len({line[0] for line in lines}) == len(lines)
    return each_once and (named_part or lengths.isdisjoint({2, 3, 4}))


def read_user_lines(source: Source, report: Report) -> Table:
    """Read ``user item item ...`` lines; a user without items is legal.

    Args:
        source: the file.
        report: receives a line that holds anything but whole numbers.

    Raises:
        PlacedError: an id is so large that it cannot be an index.
    """
    text = source.bytes_
    digit = (text >= ord("0")) & (text <= ord("9"))
    blank = (text == ord(" ")) | (text == ord("\n")) | (text == ord("\r")) | (text == ord("\t"))
    foreign = np.flatnonzero(~(digit | blank))
    edges = np.diff(digit.astype(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    lines = np.searchsorted(source.line_ends, starts)
    if len(foreign):
        keep = _without_lines(source, foreign, lines, report)
        starts, ends, lines = starts[keep], ends[keep], lines[keep]
    too_long = np.flatnonzero(ends - starts > _MAX_DIGITS)
    if len(too_long):
        _refuse(source, int(lines[too_long[0]]), source.data[starts[too_long[0]] : ends[too_long[0]]].decode())
    numbers = _parse(text, starts, ends)
    is_user = np.ones(len(lines), dtype=bool)
    is_user[1:] = lines[1:] != lines[:-1]
    limit = min(100 * len(numbers) + _SPARE_INDICES, 2**31 - 1)
    too_large = np.flatnonzero(numbers >= limit)
    if len(too_large):
        _refuse(source, int(lines[too_large[0]]), str(numbers[too_large[0]]))
    line_users = numbers[is_user]
    per_line = np.diff(np.append(np.flatnonzero(is_user), len(numbers))) - 1
    items = numbers[~is_user]
    return Table(
        str(source.path),
        user=pl.Series("user", np.repeat(line_users, per_line)),
        item=pl.Series("item", items),
        indexed=True,
        n_users=int(line_users.max(initial=-1)) + 1,
        n_items=int(items.max(initial=-1)) + 1,
        remarks=_remarks(source, line_users, lines[is_user], per_line),
    )


def _parse(text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number that each run of digits spells, all runs one digit further per step."""
    lengths = ends - starts
    numbers = np.zeros(len(starts), dtype=np.int64)
    for position in range(int(lengths.max(initial=0))):
        longer = lengths > position
        digits = text[starts[longer] + position].astype(np.int64) - ord("0")
        numbers[longer] = numbers[longer] * 10 + digits
    return numbers


def _without_lines(
    source: Source, foreign: NDArray[np.int64], lines: NDArray[np.int64], report: Report
) -> NDArray[np.bool_]:
    broken = np.unique(np.searchsorted(source.line_ends, foreign))
    line = int(broken[0])
    start = int(source.line_ends[line - 1]) + 1 if line else 0
    content = source.data[start : int(source.line_ends[line])].decode(errors="replace")
    word = next((each for each in content.split() if not (each.isascii() and each.isdigit())), content)
    more = f", and in {len(broken) - 1:,} more lines" if len(broken) > 1 else ""
    what = f"a user line must hold whole numbers separated by spaces; got {shown(word)}{more}"
    report(PlacedError(source.place(line + 1), what, "Text ids belong in a CSV with a header such as user_id,item_id."))
    return ~np.isin(lines, broken)


def _refuse(source: Source, line: int, number: str) -> None:
    what = f"ids in user lines must be indices 0, 1, 2, ... with few gaps; got {number}"
    raise PlacedError(
        source.place(line + 1), what, "Put ids of other kinds in a CSV with a header such as user_id,item_id."
    )


def _remarks(
    source: Source, users: NDArray[np.int64], lines: NDArray[np.int64], per_line: NDArray[np.int64]
) -> tuple[PlacedError, ...]:
    remarks = []
    order = np.argsort(users, kind="stable")
    again = order[1:][users[order][1:] == users[order][:-1]]
    if len(again):
        first = int(again.min())
        what = f"user {users[first]} has a line of its own already, as have {len(again) - 1:,} more users"
        way_out = "Each line must start with its user; is the user missing from the lines?"
        remarks.append(PlacedError(source.place(int(lines[first]) + 1), what, way_out))
    empty = int((per_line == 0).sum())
    if empty:
        what = f"{empty:,} users have a line but no items"
        remarks.append(PlacedError(str(source.path), what, "Legal; nothing is learnt or measured for them here."))
    return tuple(remarks)
