"""A user's text file as bytes: decompressed, its byte order mark removed, its lines counted, a block at a time."""

import contextlib
import gzip
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import zstandard
from numpy.typing import NDArray

from multimargin.checks import nearest
from multimargin.data.problems import PlacedError

COMPRESSIONS = (".gz", ".zst")
BLOCK = 1 << 25  # bytes of text that are held at a time
_HEAD = 1 << 18  # bytes from which separator, header and columns are found out
_PIECE = 1 << 20  # bytes that are taken from the disk at a time
_ZST_MAGIC = b"\x28\xb5\x2f\xfd"
_GZ_MAGIC = b"\x1f\x8b"
_MARK = b"\xef\xbb\xbf"  # of byte order
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
    """A text file, or a block of its lines, in memory.

    Args:
        path: where it came from, for messages.
        data: its text, UTF-8, decompressed, without byte order mark.
        lines_before: lines of the file before ``data``.
    """

    path: Path
    data: bytes
    lines_before: int = 0

    def blocks(self, *, quoted: bool = False) -> Iterator["Source"]:  # noqa: ARG002 - as ``TextFile`` has it
        """Return itself, all there is."""
        return iter([self])

    def place(self, line: int) -> str:
        """Return how messages name line ``line`` of ``data``, counted from 1."""
        return f"{self.path}, line {self.lines_before + line}"

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

    def head(self, n_lines: int = 200, n_bytes: int = _HEAD) -> list[tuple[int, str]]:
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


class TextFile:
    """A text file, compressed or not, of which no more than a block is held.

    Args:
        path: the file.

    Raises:
        PlacedError: it cannot be opened or decompressed, is empty, or is no UTF-8 text.
    """

    def __init__(self, path: Path):
        self.path = path
        held, n_held = [], 0
        with contextlib.closing(_pieces(path)) as pieces:
            self._is_whole = True
            for piece in pieces:
                held.append(piece)
                n_held += len(piece)
                if n_held > max(BLOCK, 2 * _HEAD) and any(map(bytes.strip, held)):
                    self._is_whole = False
                    break
        data = b"".join(held)
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise PlacedError(str(path), "must be UTF-8 text; it is UTF-16", "Save it as UTF-8.")
        data = data.removeprefix(_MARK)
        found = next((what for magic, what in _OTHER_FORMATS.items() if data.startswith(magic)), None)
        if found or b"\x00" in data[:4096]:
            way_out = "Unpack or convert it first; CSV, TSV, Parquet, RecBole .inter and LightGCN .txt can be read."
            raise PlacedError(str(path), f"must be a text table or Parquet; it is {found or 'binary'}", way_out)
        if not data.strip():
            raise PlacedError(
                str(path), "must hold interactions; the file is empty", "Write one user and item per line."
            )
        self.head = Source(path, data)  # its last line may be cut

    def blocks(self, *, quoted: bool = False, whole: bool = False) -> Iterator[Source]:
        """Return the file in blocks of whole lines.

        Args:
            quoted: fields may be in double quotes, and a line end within does not end a line.
            whole: as one block, however large.
        """
        if self._is_whole and len(self.head.data) <= BLOCK:
            return iter([self.head])
        return self._read_blocks(quoted=quoted, whole=whole)

    def quotes(self, separator: str) -> bool:
        """Tell whether a field starts with a double quote anywhere; only there does it quote."""
        marks = (b'\n"', separator.encode() + b'"')
        return any(block.data.startswith(b'"') or any(mark in block.data for mark in marks) for block in self.blocks())

    def _read_blocks(self, *, quoted: bool, whole: bool) -> Iterator[Source]:
        pieces = _pieces(self.path)
        first = next(pieces, b"")
        while len(first) < len(_MARK) and (more := next(pieces, None)) is not None:
            first += more
        held: list[bytes] = []
        lines = n_new = 0
        for piece in chain([first.removeprefix(_MARK)], pieces):
            held.append(piece)
            n_new += len(piece)
            if whole or n_new < BLOCK:
                continue
            data = b"".join(held)
            cut = _last_line_end(data, quoted=quoted)
            held, n_new = [data[cut:]], 0
            if cut:
                yield Source(self.path, data[:cut], lines)
                lines += data.count(b"\n", 0, cut)
        data = b"".join(held)
        if data:
            yield Source(self.path, data, lines)


def _last_line_end(data: bytes, *, quoted: bool) -> int:
    """Return where the last whole line ends: 0 if there is none."""
    end = data.rfind(b"\n") + 1
    is_open = bool(quoted and data.count(b'"', 0, end) % 2)
    while end and is_open:
        before = data.rfind(b"\n", 0, end - 1) + 1
        is_open ^= bool(data.count(b'"', before, end) % 2)
        end = before
    return end


def _pieces(path: Path) -> Generator[bytes]:
    """Return a file's content in pieces, decompressed by what it is, whatever it is called.

    Raises:
        PlacedError: it cannot be opened or decompressed.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start.startswith(_GZ_MAGIC):
                with gzip.GzipFile(fileobj=file) as opened:
                    while piece := opened.read(_PIECE):
                        yield piece
            elif start.startswith(_ZST_MAGIC):
                yield from _unpacked_zst(file)
            else:
                if split_suffix(path)[1] and start:
                    raise PlacedError(
                        str(path),
                        f"must be compressed as its name says; it starts with {start!r}",
                        "Rename or compress it.",
                    )
                while piece := file.read(_PIECE):
                    yield piece
    except (EOFError, zlib.error, zstandard.ZstdError, gzip.BadGzipFile) as error:
        what = f"must be a whole compressed file; {str(error).splitlines()[0]}"
        raise PlacedError(str(path), what, "It was cut or damaged on its way: fetch it again.") from error
    except OSError as error:
        raise PlacedError(
            str(path), f"must be a readable file; {error.strerror}", "Check the path and its rights."
        ) from error


def _unpacked_zst(file: BinaryIO) -> Iterator[bytes]:
    """Decompress Zstandard, all its frames; a cut frame is an error."""
    frame, left = None, b""
    while packed := left or file.read(_PIECE):
        if frame is None:
            frame = zstandard.ZstdDecompressor().decompressobj()
        yield frame.decompress(packed)
        left = b""
        if frame.eof:
            left, frame = frame.unused_data, None
    if frame is not None:
        raise EOFError("it ends in the middle")


def read_bytes(path: Path) -> bytes:
    """Return a file's content, decompressed by what it is, whatever it is called.

    Raises:
        PlacedError: it cannot be opened or decompressed.
    """
    return b"".join(_pieces(path))
