"""Folders, Parquet and frames: one door each, the same interactions behind all of them."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from multimargin.data import Interactions, Split, read_any, read_parts
from multimargin.errors import DataError

ROWS = {"user_id": ["b", "a", "a"], "item_id": [10, 7, 10], "rating": [5.0, 3.0, 4.0], "timestamp": [30, 20, 10]}


def pairs(log):
    users, items = log.users.ids(log.user_index).to_list(), log.items.ids(log.indices).to_list()
    return sorted(zip(users, items, strict=True))


@pytest.mark.parametrize(
    "make",
    [pl.DataFrame, pd.DataFrame, pa.table, lambda rows: pl.DataFrame(rows).lazy()],
    ids=["polars", "pandas", "arrow", "lazy"],
)
def test_frames_of_all_kinds_agree_with_each_other_and_with_files(tmp_path, make):
    log = Interactions.from_frame(make(ROWS))
    assert pairs(log) == [("a", 7), ("a", 10), ("b", 10)]
    assert log.timestamps.tolist() == [20, 10, 30]
    assert log.weights.tolist() == [3, 4, 5]
    pl.DataFrame(ROWS).write_parquet(tmp_path / "x.parquet")
    pl.DataFrame(ROWS).write_csv(tmp_path / "x.csv")
    for name in ("x.parquet", "x.csv"):
        assert Interactions.read(tmp_path / name).fingerprint == log.fingerprint


@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame, pa.table], ids=["polars", "pandas", "arrow"])
def test_a_frame_says_whether_an_id_is_text(make):
    log = Interactions.from_frame(make({"user_id": ["7", "8"], "item_id": [1, 2]}))
    assert log.users.series.to_list() == ["7", "8"]
    assert log.items.series.to_list() == [1, 2]


@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame, pa.table], ids=["polars", "pandas", "arrow"])
@pytest.mark.parametrize("user", [["a", None], [1, None]])
def test_missing_ids_are_placed(make, user):
    with pytest.raises(DataError, match=r"frame, row 1: user \(column 'user_id'\) must hold an id; got n"):
        Interactions.from_frame(make({"user_id": user, "item_id": [1, 2]}))


@pytest.mark.parametrize("zone", [None, dt.timezone(dt.timedelta(hours=2))])
@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame, pa.table], ids=["polars", "pandas", "arrow"])
def test_datetimes_become_seconds(make, zone):
    moment = dt.datetime(2020, 1, 1, 12, tzinfo=zone)
    rows = {"user_id": [1, 2], "item_id": [1, 2], "timestamp": [moment, moment + dt.timedelta(seconds=0.5)]}
    if make is pl.DataFrame and zone:
        pytest.skip("polars takes no bare offsets")
    log = Interactions.from_frame(make(rows))
    seconds = 1577880000 - (7200 if zone else 0)
    assert log.timestamps.tolist() == [seconds, seconds + 0.5]


def test_pandas_categories_and_objects():
    frame = pd.DataFrame({"user": pd.Categorical(["b", "a"]), "item": np.array(["y", "x"], dtype=object)})
    assert pairs(Interactions.from_frame(frame)) == [("a", "x"), ("b", "y")]
    with pytest.raises(DataError, match="must hold text or integers; it mixes int, str"):
        Interactions.from_frame(pd.DataFrame({"user": ["b", 1], "item": [1, 2]}, dtype=object))
    with pytest.raises(DataError, match=r"user ids must be text or integers; column 'user' is Float64"):
        Interactions.from_frame(pd.DataFrame({"user": [1.0, 2.0], "item": [1, 2]}))


def test_no_frame_is_refused():
    with pytest.raises(DataError, match="frame must be a pandas, polars or Arrow frame; got list"):
        Interactions.from_frame([1, 2])
    with pytest.raises(DataError, match="frame must be a pandas, polars or Arrow frame; got Series"):
        Interactions.from_frame(pl.Series([1]))
    with pytest.raises(DataError, match=r"polars frame: must hold interactions"):
        Interactions.from_frame(pl.DataFrame({"user": [], "item": []}))
    with pytest.raises(DataError, match=r"polars frame: the header must name a column of users"):
        Interactions.from_frame(pl.DataFrame({"a": [1], "item": [1]}))


def test_parquet_that_is_none(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"x\.parquet: must be a Parquet file; "):
        Interactions.read(tmp_path / "x.parquet")
    pl.DataFrame({"user": [], "item": []}).write_parquet(tmp_path / "y.parquet")
    with pytest.raises(DataError, match="the file has no rows"):
        Interactions.read(tmp_path / "y.parquet")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_parts_of_tables_share_vocabularies(tmp_path, suffix):
    def write(name, users, items):
        frame = pl.DataFrame({"user_id": users, "item_id": items})
        path = tmp_path / f"{name}{suffix}"
        frame.write_parquet(path) if suffix == ".parquet" else frame.write_csv(
            path, separator="\t" if suffix == ".tsv" else ","
        )

    write("train", [3, 1], ["x", "y"])
    write("val", [1], ["z"])
    write("test", [2], ["x"])
    split = read_any(tmp_path)
    assert isinstance(split, Split)
    assert [pairs(part) for part in split] == [[(1, "y"), (3, "x")], [(1, "z")], [(2, "x")]]
    assert split.train.users.series.to_list() == [1, 2, 3]
    assert len(Interactions.read(tmp_path)) == 4


def test_one_text_id_keeps_the_ids_of_all_parts_text(tmp_path):
    (tmp_path / "train.csv").write_text("user_id,item_id\n1,7\n2,8\n")
    (tmp_path / "test.csv").write_text("user_id,item_id\n1,008\n")
    split = read_parts(tmp_path)
    assert split.train.items.series.to_list() == ["008", "7", "8"]
    assert split.train.users.series.to_list() == [1, 2]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("d.part1.inter", "d.part2.inter", "d.part3.inter"), (1, 2, 3)),
        (("d.part1.inter", "d.part3.inter"), (1, None, 2)),
        (("d.part1.inter", "d.part2.inter"), (1, None, 2)),
        (("d.train.inter", "d.valid.inter", "d.test.inter"), (1, 2, 3)),
        (("d.part1.inter",), (1, None, None)),
    ],
)
def test_recbole_parts(tmp_path, names, expected):
    (tmp_path / "d.item").write_text("item_id:token\tname:token_seq\n1\tx\n")
    for number, name in enumerate(names, start=1):
        rows = "".join(f"{row}\t{number}\n" for row in range(number))
        (tmp_path / name).write_text("user_id:token\titem_id:token\n" + rows)
    assert tuple(None if part is None else len(part) for part in read_parts(tmp_path)) == expected
    if "d.part1.inter" in names:
        assert tuple(None if part is None else len(part) for part in read_any(tmp_path / "d.part1.inter")) == expected


def test_a_folder_of_one_log(tmp_path):
    (tmp_path / "movies.csv").write_text("movieId,title\n1,x\n")
    (tmp_path / "ratings.csv").write_text("userId,movieId\n1,1\n")
    (tmp_path / ".hidden.csv").write_text("")
    assert isinstance(read_any(tmp_path), Interactions)
    (tmp_path / "movies.csv").unlink()
    (tmp_path / "ratings.csv").rename(tmp_path / "mine.csv")
    assert isinstance(read_any(tmp_path), Interactions)
    (tmp_path / "d.inter").write_text("user_id:token\titem_id:token\n1\t1\n2\t2\n")
    assert len(read_any(tmp_path)) == 2


def test_folders_that_nobody_understands(tmp_path):
    with pytest.raises(DataError, match="it holds nothing"):
        Interactions.read(tmp_path)
    (tmp_path / "a.csv").write_text("user_id,item_id\n1,1\n")
    (tmp_path / "b.csv").write_text("user_id,item_id\n1,1\n")
    with pytest.raises(DataError, match=r"must hold one log; it holds a\.csv, b\.csv"):
        Interactions.read(tmp_path)
    with pytest.raises(DataError, match=r"must hold train\.\* and test\.\*"):
        read_parts(tmp_path)
    (tmp_path / "train.csv").write_text("user_id,item_id\n1,1\n")
    (tmp_path / "train.txt").write_text("1 1 2\n")
    with pytest.raises(DataError, match=r"must hold one train file; it holds train\.csv, train\.txt"):
        read_parts(tmp_path)


def test_an_empty_part_is_named(tmp_path):
    (tmp_path / "train.txt").write_text("0 1 2\n1 3\n")
    (tmp_path / "test.txt").write_text("")
    with pytest.raises(DataError, match=r"test\.txt: must hold interactions; the file is empty"):
        read_parts(tmp_path)


def test_times_of_a_pair_that_repeats_in_a_file(tmp_path):
    (tmp_path / "x.csv").write_text("user_id,item_id,timestamp\na,x,30\na,x,10\na,x,20\n")
    log = Interactions.read(tmp_path / "x.csv")
    assert (log.timestamps.tolist(), log.n_duplicates) == ([10], 2)
