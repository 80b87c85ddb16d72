"""Ids in, indices inside, the same ids out."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimargin.data import Vocabulary
from multimargin.errors import DataError, UnknownIdError

TEXTS = st.lists(st.text(max_size=6), unique=True, max_size=20)
INTEGERS = st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=20)


@given(st.one_of(TEXTS, INTEGERS))
def test_every_id_comes_back(ids):
    vocabulary = Vocabulary(ids)
    assert vocabulary.indices(ids).tolist() == list(range(len(ids)))
    assert vocabulary.ids(vocabulary.indices(ids)).to_list() == ids
    assert vocabulary == Vocabulary(ids)
    assert vocabulary.fingerprint == Vocabulary(ids).fingerprint


def test_text_that_spells_an_integer_finds_it_and_other_spellings_do_not():
    assert Vocabulary([1, 7]).find(["7", "007", "7.0", None]).tolist() == [1, -1, -1, -1]
    assert Vocabulary(["007", "7"]).find([7, 1]).tolist() == [1, -1]


def test_large_unsigned_and_categorical_ids():
    assert Vocabulary(pl.Series([2**64 - 1], dtype=pl.UInt64)).ids([0]).to_list() == [2**64 - 1]
    assert Vocabulary(pl.Series(["b", "a"], dtype=pl.Categorical)).find(["a"]).tolist() == [1]


def test_unknown_ids_are_named():
    with pytest.raises(
        UnknownIdError, match=r"^user ids must be in the training data; 4 are not: 'w', 'x', 'y', ..\.\.$"
    ):
        Vocabulary(["a"], kind="user").indices(["w", "a", "x", "y", "z"])
    with pytest.raises(KeyError, match="1 is not: 5"):
        Vocabulary([1], kind="item").indices([5])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1.5, 2.5], "must be text or integers; got Float64"),
        (["a", None], "must not be missing; 1 are"),
        (["a", "b", "a"], "must be distinct; got 1 repeats"),
    ],
)
def test_ids_of_other_kinds_are_refused(ids, message):
    with pytest.raises(DataError, match=message):
        Vocabulary(ids)


def test_fingerprint_keeps_apart_where_ids_end():
    assert Vocabulary(["ab", "c"]).fingerprint != Vocabulary(["a", "bc"]).fingerprint
    assert Vocabulary(["1"]).fingerprint != Vocabulary([1]).fingerprint
