"""What a folder of data holds: parts split beforehand, or one log among other files."""

from pathlib import Path

from multimargin.data.problems import PlacedError
from multimargin.data.sources import COMPRESSIONS, split_suffix

_PART_NAMES = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing"),
}
_SUFFIXES = (".txt", ".csv", ".tsv", ".inter", ".parquet", ".pq")
_LOG_SUFFIXES = (".csv", ".tsv", ".inter", ".parquet", ".pq", ".data", ".dat", ".txt")
_LOG_STEMS = ("interactions", "ratings", "events", "u")  # the log where a data set's folder has more tables than one


def find_parts(path: Path) -> dict[str, Path]:
    """Return {"train": ..., "valid": ..., "test": ...}, in this order, of those there are; empty if there is no train.

    Args:
        path: a folder, or a file of RecBole's such as ``name.part1.inter``.

    Raises:
        PlacedError: two files could be one part.
    """
    if path.is_file():
        pieces = path.name.split(".")
        return (
            _recbole_parts(path.parent, pieces[0])
            if len(pieces) > 2 and pieces[1] == "part1" and "inter" in pieces
            else {}
        )
    files = _files(path)
    parts = {}
    for part, names in _PART_NAMES.items():
        found = [file for file in files if _stem(file) in names and split_suffix(file)[0] in _SUFFIXES]
        if len(found) > 1:
            listed = ", ".join(file.name for file in found)
            raise PlacedError(str(path), f"must hold one {part} file; it holds {listed}", "Move the others away.")
        if found:
            parts[part] = found[0]
    if "train" in parts:
        return parts
    recbole = {
        file.name.partition(".")[0]
        for file in files
        if file.name.split(".")[1:3] in (["part1", "inter"], ["train", "inter"])
    }
    if len(recbole) > 1:
        raise PlacedError(
            str(path),
            f"must hold the parts of one data set; it holds {', '.join(sorted(recbole))}",
            "Give one's .part1.inter file.",
        )
    return _recbole_parts(path, recbole.pop()) if recbole else {}


def find_log(folder: Path) -> Path:
    """Return the file of a folder that holds its interactions.

    Raises:
        PlacedError: there is none, or nobody can tell which it is.
    """
    tables = [file for file in _files(folder) if split_suffix(file)[0] in _LOG_SUFFIXES]
    inters = [file for file in tables if split_suffix(file)[0] == ".inter"]
    for candidates in (inters, tables, [file for file in tables if _stem(file) in _LOG_STEMS]):
        if len(candidates) == 1:
            return candidates[0]
    if not tables:
        there = ", ".join(file.name for file in _files(folder)[:8]) or "nothing"
        what = f"must hold train.txt and test.txt, a CSV, a Parquet or an .inter file; it holds {there}"
        raise PlacedError(str(folder), what, "Give the path of the file.")
    listed = ", ".join(file.name for file in tables[:8])
    raise PlacedError(str(folder), f"must hold one log; it holds {listed}", "Give the path of the one you mean.")


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith((".", "_")))


def _stem(file: Path) -> str:
    name = file.name.lower()
    return Path(name.removesuffix(next((each for each in COMPRESSIONS if name.endswith(each)), ""))).stem


def _recbole_parts(folder: Path, name: str) -> dict[str, Path]:
    found = {}
    for file in _files(folder):
        pieces = file.name.split(".")
        if len(pieces) in (3, 4) and pieces[0] == name and pieces[2] == "inter":
            found[pieces[1]] = file
    if "train" in found:
        return {part: found[part] for part in _PART_NAMES if part in found}
    numbered = [found[part] for part in ("part1", "part2", "part3") if part in found]
    names = ("train", "valid", "test") if len(numbered) == 3 else ("train", "test")
    return dict(zip(names, numbered, strict=False))
