"""Item vectors that come from elsewhere: Parquet files by id, NumPy files by row, arrays."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.problems import PlacedError
from multimargin.data.sources import must_exist
from multimargin.data.vocabulary import Vocabulary

_LOG = logging.getLogger("multimargin")
_SUFFIXES = (".parquet", ".npy")


def write_item_vectors(path: str | Path, ids: pl.Series, vectors: NDArray[np.float32]) -> None:
    """Write one row per item, ``item_id`` and ``vector``, into a .parquet file that appears when it is whole.

    Raises:
        ArgumentError: the suffix is another.
        OSError: the file cannot be written; nothing half written is left.
    """
    path = require_parquet(path)
    frame = pl.DataFrame({"item_id": ids, "vector": pl.Series(vectors, dtype=pl.Array(pl.Float32, vectors.shape[1]))})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            frame.write_parquet(file)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def require_parquet(path: str | Path) -> Path:
    """Return the path of a file to write if its suffix is .parquet."""
    path = Path(path)
    if path.suffix.lower() != ".parquet":
        checks.fail("the file of item vectors", "end in .parquet", path.name, "It holds ids beside the vectors.")
    return path


def read_item_vectors(given: Any, items: Vocabulary) -> NDArray[np.float32]:
    """Return (I, any) finite vectors in the order of ``items``.

    Args:
        given: the path of a ``.parquet`` file with a column of ids and one of lists (``write_item_vectors`` makes it),
            in which an item may be missing: it gets zeros, and a line in the log says how many do; or that of a
            ``.npy`` file, or an array, with one row for each item in order.
        items: the item vocabulary of the training data.

    Raises:
        PlacedError: there is no such file, or it does not hold vectors.
        ArgumentError: not one vector for each item, none at all for these items, or one that is not finite.
    """
    values = _read(must_exist(Path(given)), items) if isinstance(given, (str, Path)) else np.asarray(given)
    if values.ndim != 2 or len(values) != len(items):
        checks.fail("item_vectors", f"be one row for each of {len(items)} items", values.shape)
    if not np.isfinite(values).all():
        checks.fail("item_vectors", "be finite", "NaN or infinity")
    return values.astype(np.float32)


def _read(path: Path, items: Vocabulary) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        checks.fail("item_vectors", f"be a file that ends in {' or '.join(_SUFFIXES)}", path.name)
    try:
        if suffix == ".npy":
            rows: NDArray[Any] = np.load(path, allow_pickle=False)
            return rows
        frame = pl.read_parquet(path)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        what = f"must be a {suffix} file; {str(error).splitlines()[0]}"
        raise PlacedError(str(path), what, "Was it cut, or is it of another format?") from error
    return _by_id(path, frame, items)


def _by_id(path: Path, frame: pl.DataFrame, items: Vocabulary) -> NDArray[np.float32]:
    lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, (pl.List, pl.Array))]
    if len(frame.columns) != 2 or len(lists) != 1:
        what = f"must have a column of ids and one of lists of numbers; got {', '.join(frame.columns)}"
        raise PlacedError(str(path), what, "Write it with `multimargin data embed`.")
    ids = Vocabulary(frame.drop(lists).to_series(), kind="item")
    place = items.find(ids.series) if len(ids) else np.empty(0, np.int64)
    try:
        vectors = np.stack([np.asarray(each, np.float32) for each in frame[lists[0]].to_list()])
    except (TypeError, ValueError) as error:
        raise PlacedError(str(path), "must hold vectors of one length, one in each row", "Make it anew.") from error
    known = place >= 0
    if not known.any():
        shown = f"{ids.series[0]!r} and {len(ids) - 1} more" if len(ids) else "no ids"
        checks.fail("item_vectors", "be of the items in the training data", shown, f"Theirs are like {items!r}.")
    if missing := len(items) - int(known.sum()):
        _LOG.warning("%s has no vector for %d of %d items: theirs is 0, near nothing", path, missing, len(items))
    result = np.zeros((len(items), vectors.shape[1]), np.float32)
    result[place[known]] = vectors[known]
    return result
