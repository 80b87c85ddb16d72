"""LightGCN's files: one line per user, ``user item item ...``, all of them indices; read without a loop over items."""

from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin.data.columns import Table
from multimargin.data.problems import PlacedError, Report, shown
from multimargin.data.sources import Source, TextFile

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


class _Lines(NamedTuple):
    """What a block of lines says; of lines, those that start with a user."""

    users: NDArray[np.integer]  # (m,)
    lines: NDArray[np.int64]  # (m,) number of the line, from 1
    per_line: NDArray[np.int64]  # (m,) items
    items: NDArray[np.integer]
    broken: tuple[int, str] | None  # first line that holds something else, and what
    n_broken: int
    too_long: tuple[int, str] | None  # first line with a number that nothing holds, and the number


def read_user_lines(source: Source | TextFile, report: Report) -> Table:
    """Read ``user item item ...`` lines; a user without items is legal.

    Args:
        source: the file.
        report: receives a line that holds anything but whole numbers.

    Raises:
        PlacedError: an id is so large that it cannot be an index.
    """
    blocks = [_read_block(block) for block in source.blocks()]
    broken = next((block.broken for block in blocks if block.broken), None)
    if broken:
        n_broken = sum(block.n_broken for block in blocks)
        more = f", and in {n_broken - 1:,} more lines" if n_broken > 1 else ""
        what = f"a user line must hold whole numbers separated by spaces; got {shown(broken[1])}{more}"
        way_out = "Text ids belong in a CSV with a header such as user_id,item_id."
        report(PlacedError(_place(source.path, broken[0]), what, way_out))
    too_long = next((block.too_long for block in blocks if block.too_long), None)
    if too_long:
        _refuse(source.path, *too_long)
    users, lines, per_line, items = (np.concatenate([block[part] for block in blocks]) for part in range(4))
    del blocks
    limit = min(100 * (len(users) + len(items)) + _SPARE_INDICES, 2**31 - 1)
    if max(users.max(initial=-1), items.max(initial=-1)) >= limit:
        _refuse_first(source.path, users, lines, per_line, items, limit)
    return Table(
        str(source.path),
        user=pl.Series("user", np.repeat(users, per_line)),
        item=pl.Series("item", items),
        indexed=True,
        n_users=int(users.max(initial=-1)) + 1,
        n_items=int(items.max(initial=-1)) + 1,
        remarks=_remarks(source.path, users, lines, per_line),
    )


def _read_block(source: Source) -> _Lines:
    text = source.bytes_
    digit = (text >= ord("0")) & (text <= ord("9"))
    blank = (text == ord(" ")) | (text == ord("\n")) | (text == ord("\r")) | (text == ord("\t"))
    foreign = np.flatnonzero(~(digit | blank))
    edges = np.diff(digit.view(np.int8), prepend=np.int8(0), append=np.int8(0))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    broken, too_long, n_broken = None, None, 0
    if len(foreign):
        wrong = np.unique(np.searchsorted(source.line_ends, foreign))
        broken, n_broken = _first_word(source, int(wrong[0])), len(wrong)
        keep = ~np.isin(np.searchsorted(source.line_ends, starts), wrong)
        starts, ends = starts[keep], ends[keep]
    long = np.flatnonzero(ends - starts > _MAX_DIGITS)
    if len(long):
        start, end = int(starts[long[0]]), int(ends[long[0]])
        too_long = (source.lines_before + source.line_of(start), source.data[start:end].decode())
    numbers = _parse(text, starts, ends)
    after = np.searchsorted(starts, source.line_ends)  # numbers up to the end of each line
    lines = np.flatnonzero(np.diff(after, prepend=0))
    first = np.append(0, after)[lines]
    is_item = np.ones(len(numbers), dtype=bool)
    is_item[first] = False
    per_line = np.diff(np.append(first, len(numbers))) - 1
    users, items = _narrowed(numbers[first]), _narrowed(numbers[is_item])
    return _Lines(users, source.lines_before + 1 + lines, per_line, items, broken, n_broken, too_long)


def _narrowed(numbers: NDArray[np.int64]) -> NDArray[np.integer]:
    return numbers.astype(np.int32) if numbers.max(initial=0) < 2**31 else numbers


def _parse(text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number that each run of digits spells, all runs one digit further per step."""
    lengths = ends - starts
    numbers = np.zeros(len(starts), dtype=np.int64)
    for position in range(int(lengths.max(initial=0))):
        longer = lengths > position
        digits = text[starts[longer] + position].astype(np.int64) - ord("0")
        numbers[longer] = numbers[longer] * 10 + digits
    return numbers


def _first_word(source: Source, line: int) -> tuple[int, str]:
    """Return the number of ``line``, counted from 0 in the block, and what on it is no whole number."""
    start = int(source.line_ends[line - 1]) + 1 if line else 0
    content = source.data[start : int(source.line_ends[line])].decode(errors="replace")
    word = next((each for each in content.split() if not (each.isascii() and each.isdigit())), content)
    return source.lines_before + line + 1, word


def _place(path: Path, line: int) -> str:
    return f"{path}, line {line}"


def _refuse(path: Path, line: int, number: str) -> NoReturn:
    what = f"ids in user lines must be indices 0, 1, 2, ... with few gaps; got {number}"
    raise PlacedError(
        _place(path, line), what, "Put ids of other kinds in a CSV with a header such as user_id,item_id."
    )


def _refuse_first(
    path: Path,
    users: NDArray[np.integer],
    lines: NDArray[np.int64],
    per_line: NDArray[np.int64],
    items: NDArray[np.integer],
    limit: int,
) -> NoReturn:
    """Name the first number that is not below ``limit``; a user stands before the items of their line."""
    large_users, large_items = np.flatnonzero(users >= limit), np.flatnonzero(items >= limit)
    rows = np.searchsorted(np.cumsum(per_line), large_items[:1], side="right")
    if not len(rows) or (len(large_users) and large_users[0] <= rows[0]):
        _refuse(path, int(lines[large_users[0]]), str(users[large_users[0]]))
    _refuse(path, int(lines[rows[0]]), str(items[large_items[0]]))


def _remarks(
    path: Path, users: NDArray[np.integer], lines: NDArray[np.int64], per_line: NDArray[np.int64]
) -> tuple[PlacedError, ...]:
    remarks = []
    order = np.argsort(users, kind="stable")
    again = order[1:][users[order][1:] == users[order][:-1]]
    if len(again):
        first = int(again.min())
        what = f"user {users[first]} has a line of its own already, as have {len(again) - 1:,} more users"
        way_out = "Each line must start with its user; is the user missing from the lines?"
        remarks.append(PlacedError(_place(path, int(lines[first])), what, way_out))
    empty = int((per_line == 0).sum())
    if empty:
        what = f"{empty:,} users have a line but no items"
        remarks.append(PlacedError(str(path), what, "Legal; nothing is learnt or measured for them here."))
    return tuple(remarks)
