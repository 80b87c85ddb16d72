"""A model's files: safetensors, Parquet and JSON, never pickle; each step leaves a whole model or none.

``save`` writes files whose names carry their hash, then replaces ``model.json``, which names them: until that last step
the folder still holds the old model, from it on the new one. Only then are files of the old one removed.

::

    model.json                     format, version, scorer and its settings, sizes, info, {role: [file, sha256]}
    tables-<hash>.safetensors      user_table (U, D), item_table (I, D), float32; or the arrays of another scorer
    users-<hash>.parquet           id: outside ids in index order
    items-<hash>.parquet
    seen-<hash>.parquet            user, item: indices of seen pairs, by user, then item
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import safetensors.numpy
from safetensors import SafetensorError

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import ArgumentError, CheckpointError, DataError
from multimargin.recommend.table_scorer import TableScorer

if TYPE_CHECKING:
    from multimargin.recommend.recommender import Recommender

FORMAT = "multimargin-recommender"
VERSION = 2
_TABLES_VERSION = 1  # a model of two tables is written as ever
_MANIFEST = "model.json"
_SUFFIXES = (".parquet", ".csv", ".jsonl")


def save(model: "Recommender", folder: str | Path) -> None:
    """Write ``model`` to ``folder``, made if need be; a model that is there is replaced in one step.

    Raises:
        OSError: it cannot be written (no space, no permission); an older model stays as it was.
        ArgumentError: ``model.info`` holds something that JSON cannot.
    """
    folder = Path(folder)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": _TABLES_VERSION if model.scorer.kind == TableScorer.kind else VERSION,
        "scorer": model.scorer.kind,
        **model.scorer.settings(),
        "users": len(model.users),
        "items": len(model.items),
        "files": {},
        "info": model.info,
    }
    if isinstance(model.scorer, TableScorer):
        manifest["embedding_dim"] = model.item_table.shape[1]
    try:
        _as_text(manifest)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"info must be what JSON can hold; {error}. Convert it to text or numbers first.") from None
    with _writing("The model", folder):
        was_there = folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        before = {path.name for path in folder.iterdir()}
        old = _files_named_by(folder)
        files: dict[str, tuple[str, str]] = manifest["files"]
        try:
            for role, suffix, write in _contents(model):
                files[role] = _write(folder, role, suffix, write)
            _replace(folder / _MANIFEST, _as_text(manifest))
        except BaseException:
            for name, _ in files.values():
                if name not in before:
                    (folder / name).unlink(missing_ok=True)
            if not was_there:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            raise
        for name in old - {name for name, _ in files.values()}:
            (folder / name).unlink(missing_ok=True)


def load(folder: str | Path) -> "Recommender":
    """Read a model that ``save`` wrote; every file's hash is checked.

    Raises:
        CheckpointError: the folder holds no model, or a file of it is missing, corrupt or of a newer format.
    """
    from multimargin.recommend.recommender import Recommender
    from multimargin.recommend.scorers import SCORERS

    folder = Path(folder)
    path = folder / _MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        if manifest["format"] != FORMAT or not isinstance(manifest["version"], int):
            raise CheckpointError(f"{path} is not the description of a recommender. Name a folder that save wrote.")
        if manifest["version"] > VERSION:
            raise CheckpointError(
                f"{path} has format version {manifest['version']}, but this multimargin reads up to {VERSION}. Update."
            )
        files = {role: (str(name), str(digest)) for role, (name, digest) in manifest["files"].items()}
        scorer, info = SCORERS[manifest.get("scorer", TableScorer.kind)], manifest["info"]
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(
            f"{folder} holds no model: {_MANIFEST} is missing. Name a folder that save wrote."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise _corrupt(path) from None
    found = {role: _checked(folder, files, role, path) for role in ("tables", "users", "items", "seen")}
    try:
        arrays = safetensors.numpy.load_file(found["tables"])
        users = Vocabulary(pl.read_parquet(found["users"])["id"], kind="user")
        items = Vocabulary(pl.read_parquet(found["items"])["id"], kind="item")
        pairs = pl.read_parquet(found["seen"])
        seen = Interactions.from_pairs(pairs["user"].to_numpy(), pairs["item"].to_numpy(), users, items)
        return Recommender.of(scorer.restore(arrays, manifest), seen=seen, info=info)
    except (ArgumentError, DataError, KeyError, SafetensorError, pl.exceptions.PolarsError) as error:
        # each file is what was written, so they do not belong together
        raise CheckpointError(f"{path} describes no usable model: {error} Train or copy it again.") from None


def export(model: "Recommender", folder: str | Path, *, ids: str = "parquet") -> None:
    """Write vectors and ids for an index of your own (usearch, faiss, a vector database).

    For the cosine the vectors are normalised: an inner-product index then ranks as the model does.

    ::

        user_vectors.npy, item_vectors.npy    float32 (U, D), (I, D)
        users.parquet, items.parquet          (or .csv) row, id: the outside id of each row
        vectors.json                          similarity, sizes

    Args:
        model: the model.
        folder: where to; made if need be.
        ids: "parquet" or "csv".

    Raises:
        ArgumentError: the model has no vectors.
        OSError: it cannot be written.
    """
    from multimargin.recommend.top_k import normalised

    checks.choice("ids", ids, ("parquet", "csv"))
    if not isinstance(model.scorer, TableScorer):
        way_out = "Export an encoder's or als's model; save keeps any, write_recommendations writes its lists."
        checks.fail("export", "be of a model with vectors; this one scores histories", model.scorer.kind, way_out)
    folder = Path(folder)
    cosine = model.similarity == "cosine"
    described = {
        "similarity": model.similarity,
        "normalised": cosine,
        "index with": "inner product",
        "users": len(model.users),
        "items": len(model.items),
        "embedding_dim": model.item_table.shape[1],
    }
    with _writing("The vectors", folder):
        folder.mkdir(parents=True, exist_ok=True)
        for kind, table, vocabulary in (
            ("user", model.user_table, model.users),
            ("item", model.item_table, model.items),
        ):
            array = io.BytesIO()
            np.save(array, normalised(table) if cosine else table, allow_pickle=False)
            _replace(folder / f"{kind}_vectors.npy", array.getvalue())
            frame = pl.DataFrame({"row": np.arange(len(vocabulary)), "id": vocabulary.series})
            as_bytes = _parquet(frame) if ids == "parquet" else frame.write_csv().encode()
            _replace(folder / f"{kind}s.{ids}", as_bytes)
        _replace(folder / "vectors.json", json.dumps(described, indent=2).encode())


def write_frames(path: str | Path, frames: Iterable[pl.DataFrame]) -> int:
    """Write frames one after the other into a .parquet, .csv or .jsonl file that appears when it is whole.

    Returns:
        The number of rows.

    Raises:
        ArgumentError: the suffix is none of these.
        OSError: the file cannot be written; nothing half written is left.
    """
    path = Path(path)
    checks.choice("path's suffix", path.suffix.lower(), _SUFFIXES)
    if path.suffix.lower() == ".parquet":
        return _write_parquet(path, frames)
    n_rows = 0
    with _writing("The lists", path), _temporary(path) as temporary, temporary.open("wb") as file:
        for frame in frames:
            if path.suffix.lower() == ".csv":
                frame.write_csv(file, include_header=n_rows == 0 and file.tell() == 0)
            else:
                frame.write_ndjson(file)
            n_rows += len(frame)
    return n_rows


def _write_parquet(path: Path, frames: Iterable[pl.DataFrame]) -> int:
    """Write each frame to a file of its own, then stream them into one."""
    n_rows = 0
    with _writing("The lists", path), _temporary(path) as temporary:
        parts = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            names = []
            for number, frame in enumerate(frames):
                names.append(parts / f"{number:06d}.parquet")
                frame.write_parquet(names[-1], compression="uncompressed")
                n_rows += len(frame)
            pl.scan_parquet(names, low_memory=True).sink_parquet(temporary)
        finally:
            shutil.rmtree(parts, ignore_errors=True)
    return n_rows


@contextlib.contextmanager
def _writing(what: str, path: Path) -> Iterator[None]:
    """Turn whatever a write failed with into one clear OSError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise type(error)(
            error.errno, f"{what} cannot be written: {reason}. Free some space or name another place", str(path)
        ) from None
    except (pl.exceptions.PolarsError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise OSError(
            None, f"{what} cannot be written: {reason}. Free some space or name another place", str(path)
        ) from None


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield a name beside ``path`` that becomes ``path`` at the end, or disappears if anything fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)  # noqa: PTH105 - the one call that is atomic everywhere
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _replace(path: Path, data: bytes) -> None:
    """Make ``path`` hold ``data``, on the disk, in one step."""
    with _temporary(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _contents(model: "Recommender") -> Iterator[tuple[str, str, Callable[[Path], object]]]:
    """Return the role and suffix of each file of a model, and what writes it."""
    yield "tables", "safetensors", lambda path: safetensors.numpy.save_file(model.scorer.arrays(), path)
    yield "users", "parquet", pl.DataFrame({"id": model.users.series}).write_parquet
    yield "items", "parquet", pl.DataFrame({"id": model.items.series}).write_parquet
    yield "seen", "parquet", pl.DataFrame({"user": model.seen.user_index, "item": model.seen.indices}).write_parquet


def _write(folder: Path, role: str, suffix: str, write: Callable[[Path], object]) -> tuple[str, str]:
    """Write a file under a name that carries its hash; return name and hash."""
    temporary = folder / f".{role}.{os.getpid()}.tmp"
    try:
        write(temporary)
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        name = f"{role}-{digest[:12]}.{suffix}"
        os.replace(temporary, folder / name)  # noqa: PTH105 - as in ``_temporary``
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return name, digest


def _as_text(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, indent=2, ensure_ascii=False).encode()


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _files_named_by(folder: Path) -> set[str]:
    """Return the files of the model in ``folder``, none if there is none that can be read."""
    read: Callable[[bytes], Any] = json.loads
    try:
        named = read((folder / _MANIFEST).read_bytes())["files"].values()
        return {Path(str(name)).name for name, _ in named}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def _checked(folder: Path, files: dict[str, tuple[str, str]], role: str, manifest: Path) -> Path:
    """Return a file's path if it holds what was written."""
    if role not in files or Path(files[role][0]).name != files[role][0]:
        raise _corrupt(manifest)
    name, digest = files[role]
    path = folder / name
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}. Train or copy the model again.") from None
    if found != digest:
        raise _corrupt(path)
    return path


def _corrupt(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is corrupt or truncated. Train or copy the model again.")
