"""Compressed files, and files that are not what they say."""

import gzip
from pathlib import Path

import polars as pl
import pytest
import zstandard

from multimargin.data import Interactions
from multimargin.data.sources import Source, split_suffix
from multimargin.errors import DataError

TEXT = b'user_id,item_id\na,x\n\nb,"y"\n'


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_compressed_text_is_read_whatever_it_is_called(tmp_path, suffix, compress):
    for name in ("events.csv" + suffix, "events.csv"):
        (tmp_path / name).write_bytes(compress(TEXT))
        assert Interactions.read(tmp_path / name).users.series.to_list() == ["a", "b"]
    (tmp_path / f"train.txt{suffix}").write_bytes(compress(b"0 1 2\n1\n"))
    assert len(Interactions.read(tmp_path / f"train.txt{suffix}")) == 2


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_compressed_parquet(tmp_path, suffix, compress):
    pl.DataFrame({"user_id": ["a"], "item_id": ["x"]}).write_parquet(tmp_path / "plain.parquet")
    path = tmp_path / f"events.parquet{suffix}"
    path.write_bytes(compress((tmp_path / "plain.parquet").read_bytes()))
    assert len(Interactions.read(path)) == 1


def test_frames_in_a_row_are_one_file(tmp_path):
    for suffix, compress in ((".gz", gzip.compress), (".zst", zstandard.compress)):
        path = tmp_path / f"two.csv{suffix}"
        path.write_bytes(compress(TEXT) + compress(b"c,z\n"))
        assert len(Interactions.read(path)) == 3


def test_a_cut_archive_says_so(tmp_path):
    for suffix, compress in ((".gz", gzip.compress), (".zst", zstandard.compress)):
        path = tmp_path / f"cut.csv{suffix}"
        path.write_bytes(compress(TEXT * 1000)[:-8])
        with pytest.raises(DataError, match=rf"cut\.csv\{suffix}: must "):
            Interactions.read(path)


def test_a_name_that_lies_says_so(tmp_path):
    path = tmp_path / "plain.csv.gz"
    path.write_bytes(TEXT)
    with pytest.raises(DataError, match="must be compressed as its name says"):
        Interactions.read(path)


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "events.csv").write_bytes(TEXT)
    with pytest.raises(DataError, match=r"there is none\. Did you mean 'events\.csv'\?"):
        Interactions.read(tmp_path / "event.csv")
    with pytest.raises(DataError, match=r"holds events\.csv\."):
        Interactions.read(tmp_path / "zzzzzz")
    with pytest.raises(DataError, match="does not exist either"):
        Interactions.read(tmp_path / "nowhere" / "events.csv")


def test_suffixes():
    assert split_suffix(Path("a.b.CSV.gz")) == (".csv", ".gz")
    assert split_suffix(Path("ratings.dat")) == (".dat", "")


def test_lines_are_counted():
    source = Source(Path("x"), b"a\n\nb\r\nc")
    assert source.line_ends.tolist() == [1, 2, 5, 7]
    assert source.line_of(3) == 3
    assert source.head() == [(1, "a"), (3, "b"), (4, "c")]
