"""Files of item vectors: what is written comes back by id, and what is broken is named."""

import logging

import numpy as np
import polars as pl
import pytest

from multimargin.data.item_vectors import read_item_vectors, write_item_vectors
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import ArgumentError, DataError

VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.fixture(autouse=True)
def _log(monkeypatch):
    monkeypatch.setattr(logging.getLogger("multimargin"), "propagate", True)


def test_come_back_in_the_order_of_the_vocabulary(tmp_path):
    write_item_vectors(tmp_path / "v.parquet", pl.Series(["b", "c", "a"]), VECTORS)
    found = read_item_vectors(tmp_path / "v.parquet", Vocabulary(["a", "b", "c"], kind="item"))
    assert found.tolist() == [[4, 5], [0, 1], [2, 3]]
    assert found.dtype == np.float32
    assert [each.name for each in tmp_path.iterdir()] == ["v.parquet"]


def test_text_that_spells_an_integer_finds_an_integer(tmp_path):
    write_item_vectors(tmp_path / "v.parquet", pl.Series(["10", "9", "007"]), VECTORS)
    found = read_item_vectors(tmp_path / "v.parquet", Vocabulary([9, 10], kind="item"))
    assert found.tolist() == [[2, 3], [0, 1]]


def test_a_missing_item_is_0_and_said(tmp_path, caplog):
    write_item_vectors(tmp_path / "v.parquet", pl.Series(["a", "c", "z"]), VECTORS + 1)
    found = read_item_vectors(tmp_path / "v.parquet", Vocabulary(["a", "b", "c"], kind="item"))
    assert found.tolist() == [[1, 2], [0, 0], [3, 4]]
    assert "no vector for 1 of 3 items" in caplog.text


def test_none_missing_is_silent(tmp_path, caplog):
    write_item_vectors(tmp_path / "v.parquet", pl.Series(["a", "b", "c"]), VECTORS)
    read_item_vectors(tmp_path / "v.parquet", Vocabulary(["a", "b", "c"], kind="item"))
    assert caplog.text == ""


def test_rows_of_numpy(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS.astype(np.float64))
    for given in (tmp_path / "v.npy", VECTORS, VECTORS.tolist()):
        assert read_item_vectors(given, Vocabulary.range(3)).tolist() == VECTORS.tolist()


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "v.parquet").write_text("before")

    def full(self, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(OSError, match="No space"):
        write_item_vectors(tmp_path / "v.parquet", pl.Series(["a", "b", "c"]), VECTORS)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("v.parquet", "before")]


def frame(path, **columns):
    pl.DataFrame(columns).write_parquet(path)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda path: path, DataError, "must be an existing file"),
        (lambda path: path.write_text("no"), DataError, "must be a .parquet file"),
        (lambda path: frame(path, id=["a"], x=[1.0]), DataError, "a column of ids and one of lists"),
        (lambda path: frame(path, id=["a"], name=["x"], v=[[1.0]]), DataError, "a column of ids and one of lists"),
        (lambda path: frame(path, id=["a", "b"], v=[[1.0], [1.0, 2.0]]), DataError, "vectors of one length"),
        (lambda path: frame(path, id=["a", "b"], v=[[1.0], None]), DataError, "vectors of one length"),
        (lambda path: frame(path, id=["a", "a"], v=[[1.0], [2.0]]), DataError, "must be distinct"),
        (
            lambda path: frame(path, id=["y", "z"], v=[[1.0], [2.0]]),
            ArgumentError,
            "be of the items in the training data",
        ),
        (lambda path: frame(path, id=["a"], v=[[float("nan")]]), ArgumentError, "must be finite"),
    ],
)
def test_broken_files_are_named(tmp_path, make, error, message):
    make(tmp_path / "v.parquet")
    with pytest.raises(error, match=message):
        read_item_vectors(tmp_path / "v.parquet", Vocabulary(["a", "b"], kind="item"))


def test_other_suffixes_are_refused(tmp_path):
    (tmp_path / "v.bin").write_text("x")
    with pytest.raises(ArgumentError, match=r"ends in .parquet or .npy"):
        read_item_vectors(tmp_path / "v.bin", Vocabulary.range(3))
    with pytest.raises(ArgumentError, match=r"must end in .parquet"):
        write_item_vectors(tmp_path / "v.npy", pl.Series(["a", "b", "c"]), VECTORS)


def test_one_row_for_each_item(tmp_path):
    with pytest.raises(ArgumentError, match=r"one row for each of 4 items; got \(3, 2\)"):
        read_item_vectors(VECTORS, Vocabulary.range(4))
