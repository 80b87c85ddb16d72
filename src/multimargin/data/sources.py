"""A user's text file as bytes: decompressed, its byte order mark removed, its lines counted."""

import gzip
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import zstandard
from numpy.typing import NDArray

from multimargin.checks import nearest
from multimargin.data.problems import PlacedError

COMPRESSIONS = (".gz", ".zst")
_ZST_MAGIC = b"\x28\xb5\x2f\xfd"
_GZ_MAGIC = b"\x1f\x8b"
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive or spreadsheet",
    b"\x80\x04\x95": "a pickle",
    b"\x89HDF": "an HDF5 file",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive",
}


@dataclass(frozen=True)
class Source:
    """A text file in memory.

    Args:
        path: where it came from, for messages.
        data: its text, UTF-8, decompressed, without byte order mark.
    """

    path: Path
    data: bytes

    def place(self, line: int) -> str:
        """Return how messages name line ``line``, counted from 1."""
        return f"{self.path}, line {line}"

    @cached_property
    def bytes_(self) -> NDArray[np.uint8]:
        """The text as numbers."""
        return np.frombuffer(self.data, dtype=np.uint8)

    @cached_property
    def line_ends(self) -> NDArray[np.int64]:
        """Position of each line's end; a last line without newline counts."""
        ends = np.flatnonzero(self.bytes_ == ord("\n"))
        return ends if self.data.endswith(b"\n") or not self.data else np.append(ends, len(self.data))

    def line_of(self, position: int) -> int:
        """Return the line, from 1, that holds byte ``position``."""
        return self.data.count(b"\n", 0, position) + 1

    def head(self, n_lines: int = 200, n_bytes: int = 1 << 18) -> list[tuple[int, str]]:
        """Return up to ``n_lines`` first lines that are not blank, each with its number from 1."""
        piece = self.data[:n_bytes]
        lines = piece.decode("utf-8", errors="replace").split("\n")
        if len(piece) < len(self.data):
            lines = lines[:-1] or lines  # the last one may be cut
        numbered = ((number, line.removesuffix("\r")) for number, line in enumerate(lines, start=1))
        return [(number, line) for number, line in numbered if line][:n_lines]


def split_suffix(path: Path) -> tuple[str, str]:
    """Return (suffix, compression) of a file name, lower case: ``a.csv.GZ`` gives (".csv", ".gz")."""
    name = Path(path.name.lower())
    compression = name.suffix if name.suffix in COMPRESSIONS else ""
    return (Path(name.stem).suffix if compression else name.suffix), compression


def must_exist(path: Path) -> Path:
    """Return ``path`` if there is something; else name the nearest neighbour.

    Raises:
        PlacedError: nothing is there.
    """
    if path.exists():
        return path
    folder = path.parent
    neighbours = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
    hint = nearest(path.name, neighbours) or (
        f"{folder} holds {', '.join(neighbours[:8])}{', ...' if len(neighbours) > 8 else ''}."
        if neighbours
        else f"{folder} is empty."
        if folder.is_dir()
        else f"The folder {folder} does not exist either."
    )
    raise PlacedError(str(path), "must be an existing file or folder; there is none", hint)


def read_source(path: Path) -> Source:
    """Read a text file, compressed or not.

    Raises:
        PlacedError: it cannot be opened or decompressed, is empty, or is no UTF-8 text.
    """
    data = read_bytes(path)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise PlacedError(str(path), "must be UTF-8 text; it is UTF-16", "Save it as UTF-8.")
    data = data.removeprefix(b"\xef\xbb\xbf")
    found = next((what for magic, what in _OTHER_FORMATS.items() if data.startswith(magic)), None)
    if found or b"\x00" in data[:4096]:
        way_out = "Unpack or convert it first; CSV, TSV, Parquet, RecBole .inter and LightGCN .txt can be read."
        raise PlacedError(str(path), f"must be a text table or Parquet; it is {found or 'binary'}", way_out)
    if not data.strip():
        raise PlacedError(str(path), "must hold interactions; the file is empty", "Write one user and item per line.")
    return Source(path, data)


def read_bytes(path: Path) -> bytes:
    """Return a file's content, decompressed by what it is, whatever it is called.

    Raises:
        PlacedError: it cannot be opened or decompressed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlacedError(
            str(path), f"must be a readable file; {error.strerror}", "Check the path and its rights."
        ) from error
    try:
        if data.startswith(_GZ_MAGIC):
            return gzip.decompress(data)
        if data.startswith(_ZST_MAGIC):
            return _decompress_zst(data)
    except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
        what = f"must be a whole compressed file; {str(error).splitlines()[0]}"
        raise PlacedError(str(path), what, "It was cut or damaged on its way: fetch it again.") from error
    if split_suffix(path)[1] and data:
        raise PlacedError(
            str(path), f"must be compressed as its name says; it starts with {data[:4]!r}", "Rename or compress it."
        )
    return data


def _decompress_zst(data: bytes) -> bytes:
    """Decompress Zstandard, all its frames; a cut frame is an error."""
    parts = []
    while data:
        frame = zstandard.ZstdDecompressor().decompressobj()
        parts.append(frame.decompress(data))
        if not frame.eof:
            raise EOFError("it ends in the middle")
        data = frame.unused_data
    return b"".join(parts)
