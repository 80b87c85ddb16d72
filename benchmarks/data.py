"""What is measured on: a folder with train.txt and test.txt, given or made up, and tables that need no training."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import scipy.sparse.linalg
from numpy.typing import NDArray

from multimargin.data import read_parts
from multimargin.data.interactions import Interactions
from multimargin.data.splits import LeaveLastOut, RandomPerUser
from multimargin.data.synthetic import make_synthetic

Tables = tuple[NDArray[np.float32], NDArray[np.float32]]


class Data(NamedTuple):
    name: str
    train: Interactions
    test: Interactions
    tables: Tables  # of unit rows, for ranking

    @property
    def shape(self) -> str:
        return f"{self.name} U={self.train.n_users} I={self.train.n_items} n={len(self.train)}"


def read(folder: Path, tables: Path | None, dim: int) -> Data:
    """Return the data in ``folder``, with the tables in file ``tables``, or random ones."""
    sequences = folder / "sequences.txt"
    split = read_sequences(sequences).split(LeaveLastOut()) if sequences.exists() else read_parts(folder)
    assert split.test is not None
    if tables is not None:
        with np.load(tables) as found:
            return Data(folder.name, split.train, split.test, (found["users"], found["items"]))
    rng = np.random.default_rng(0)
    made = (rng.standard_normal((rows, dim), dtype=np.float32) for rows in (split.train.n_users, split.train.n_items))
    users, items = map(_unit, made)
    return Data(folder.name, split.train, split.test, (users, items))


def read_sequences(path: Path) -> Interactions:
    """Return what is in lines of items in order, a user's each, with places as times."""
    lines = [np.array(line.split(), dtype=np.int64) for line in path.read_text().splitlines()]
    sizes = np.array([len(line) for line in lines])
    times = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    columns = {"user": np.repeat(np.arange(len(lines)), sizes), "item": np.concatenate(lines), "timestamp": times}
    return Interactions.from_frame(pl.DataFrame(columns))


def make_up(folder: Path, n_users: int, n_items: int, mean_interactions: float) -> Path:
    """Write generated interactions of users with tastes, a fifth of them held out, as LightGCN's files."""
    log = make_synthetic(n_users, n_items, mean_interactions=mean_interactions).interactions
    split = log.split(RandomPerUser(valid=0.0, test=0.2), rng=0)
    folder.mkdir()
    for name in ("train", "test"):
        part = getattr(split, name)
        rows = (part.indices[first:last] for first, last in zip(part.indptr, part.indptr[1:], strict=False))
        lines = (" ".join(map(str, (user, *items))) + "\n" for user, items in enumerate(rows))
        (folder / f"{name}.txt").write_text("".join(lines))
    return folder


def write_spectral(path: Path, folder: Path, dim: int) -> None:
    """Factor the normalised interactions: tables with the crowding of trained ones, without training."""
    train = read_parts(folder).train
    by_user, by_item = (
        scipy.sparse.diags_array(1 / np.sqrt(np.maximum(counts, 1)))
        for counts in (train.user_counts, train.item_counts)
    )
    matrix = (by_user @ train.to_csr() @ by_item).astype(np.float32)
    left, values, right = scipy.sparse.linalg.svds(matrix, k=dim, rng=0)
    root = np.sqrt(np.maximum(values, 0))
    np.savez(path, users=_unit((left * root).astype(np.float32)), items=_unit((right.T * root).astype(np.float32)))


def _unit(table: NDArray[np.float32]) -> NDArray[np.float32]:
    return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), np.float32(1e-12))
