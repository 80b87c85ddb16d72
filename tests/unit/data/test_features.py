"""Columns of a frame become weighted features: what each kind of column gives, and what is refused."""

import numpy as np
import polars as pl
import pytest

from multimargin.data.features import Features
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import ArgumentError, DataError

IDS = ["a", "b", "c", "d"]


def rows_of(column, *, learnt=(True, True, True, False), **options):
    """Return each row's features as a dict of name and weight."""
    matrix = Features(pl.DataFrame({"item_id": IDS, "x": column}), kind="item", **options).matrix(np.array(learnt))
    found = []
    for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        names = [matrix.names[column] for column in matrix.columns[start:stop]]
        found.append(dict(zip(names, matrix.weights[start:stop].tolist(), strict=True)))
    return found


def test_numbers_are_scaled_by_the_rows_learnt_from():
    assert rows_of([1.0, 2.0, 3.0, 8.0]) == [
        pytest.approx({"x": (value - 2) / np.sqrt(2 / 3)}) for value in (1.0, 2.0, 3.0, 8.0)
    ]
    assert rows_of([5, 5, 5, 7]) == [{"x": 0.0}] * 3 + [{"x": 2.0}]


def test_a_missing_number_is_said_where_it_occurs():
    assert rows_of([1.0, None, 3.0, 2.0]) == [{"x": -1.0}, {"x missing": 1.0}, {"x": 1.0}, {"x": 0.0}]
    assert rows_of([1.0, float("nan"), 3.0, 2.0])[1] == {"x missing": 1.0}
    assert rows_of([1.0, 2.0, 3.0, None])[3] == {}


def test_text_has_a_feature_for_each_value_learnt():
    assert rows_of(["u", "v", "u", "w"]) == [{"x=u": 1.0}, {"x=v": 1.0}, {"x=u": 1.0}, {}]
    assert rows_of(["u", None, "u", None])[1] == {"x=missing": 1.0}
    assert rows_of([True, False, True, True])[1] == {"x=false": 1.0}
    assert rows_of([3, 4, 3, 3], categorical=["x", "of the other side"])[1] == {"x=4": 1.0}


@pytest.mark.parametrize("column", [["u|v", "u", "", None], [["u", "v"], ["u"], [], None], ["u|v|u", " u", None, "w|"]])
def test_several_values_share_a_row(column):
    assert rows_of(column) == [{"x=u": 0.5, "x=v": 0.5}, {"x=u": 1.0}, {}, {}]


def test_without_a_separator_text_is_whole():
    assert rows_of(["u|v", "u", "u", "u"], separator=None)[0] == {"x=u|v": 1.0}


def test_columns_stand_side_by_side():
    frame = pl.DataFrame({"item_id": IDS, "n": [1.0, 1.0, 4.0, 4.0], "t": ["u", "v", "u", "v"]})
    matrix = Features(frame, kind="item").matrix(np.ones(4, bool))
    assert matrix.names == ("n", "t=u", "t=v")
    assert matrix.columns.tolist() == [0, 1, 0, 2, 0, 1, 0, 2]


def test_rows_are_found_by_id_and_the_rest_is_new():
    features = Features(pl.DataFrame({"item_id": ["7", "9", "8"], "x": [1, 2, 3]}), kind="item")
    vocabulary = Vocabulary([8, 5, 7])
    assert features.rows_of(vocabulary).tolist() == [2, -1, 0]
    ids, rows = features.beyond(vocabulary)
    assert (ids.to_list(), rows.tolist()) == ([9], [1])


def test_frames_and_files_are_alike(tmp_path):
    frame = pl.DataFrame({"item_id": IDS, "x": [1.5, 2.0, 3.0, 4.0]})
    frame.write_csv(tmp_path / "f.csv")
    frame.write_csv(tmp_path / "f.tsv", separator="\t")
    frame.write_parquet(tmp_path / "f.parquet")
    expected = Features(frame, kind="item").matrix(np.ones(4, bool))
    for source in (
        *(tmp_path / f"f.{suffix}" for suffix in ("csv", "tsv", "parquet")),
        frame.to_pandas(),
        frame.to_arrow(),
    ):
        found = Features(source, kind="item").matrix(np.ones(4, bool))
        assert found.names == expected.names
        assert found.weights.tolist() == expected.weights.tolist()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"name": IDS, "x": [1, 2, 3, 4]}, "must have a column item_id or item or id; it has name, x"),
        ({"item_id": IDS}, "must have a column beside item_id"),
        ({"item_id": ["a", "a"], "x": [1, 2]}, "an id is repeated"),
        ({"item_id": ["a", None], "x": [1, 2]}, "an id is missing"),
    ],
)
def test_frames_that_cannot_be_used(frame, message):
    with pytest.raises(DataError, match=message):
        Features(pl.DataFrame(frame), kind="item")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1.0, float("inf"), 2.0, 3.0], "column x of item_features must hold finite numbers"),
        ([{"y": 1}] * 4, "column x of item_features must hold numbers, text"),
        (pl.Series([0, 1, 2, 3]).cast(pl.Date), "got Date"),
    ],
)
def test_columns_that_cannot_be_used(column, message):
    with pytest.raises(DataError, match=message):
        rows_of(column)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match=r"gone\.csv must be there"):
        Features(tmp_path / "gone.csv", kind="item")
    with pytest.raises(ArgumentError, match="frame, or a path"):
        Features(17, kind="item")
    with pytest.raises(ArgumentError, match="suffix of item_features must be one of"):
        Features("features.xlsx", kind="item")
    features = Features(pl.DataFrame({"item_id": IDS, "x": [1, 2, 3, 4]}), kind="item")
    with pytest.raises(DataError, match="none of 'a', 'b', 'c'"):
        features.rows_of(Vocabulary(["z"]))
    with pytest.raises(DataError, match="ids of the interactions' type"):
        features.beyond(Vocabulary([1]))
