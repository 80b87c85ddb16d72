"""Tables as people write them: separators, headers, quotes; and every way to get them wrong."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimargin.data import Interactions
from multimargin.errors import DataError

FIELD = st.text(
    alphabet=st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\x1f"), min_size=1, max_size=8
)


@pytest.fixture
def write(tmp_path):
    def write(text, name="events.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def pairs(log):
    users, items = log.users.ids(log.user_index).to_list(), log.items.ids(log.indices).to_list()
    return sorted(zip(users, items, strict=True))


@given(st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=20, unique=True), st.sampled_from([",", "\t", ";", "|"]))
def test_text_ids_come_back_as_they_went_in(tmp_path_factory, rows, separator):
    from multimargin.data.columns import MISSING

    rows = [(user, item) for user, item in rows if user not in MISSING and item not in MISSING]
    rows = [("anchor", "x"), *rows]  # one id that is no integer keeps all of them text
    rows = [*rows, ("y", "anchor")]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("user_id", "item_id"), *rows])
    path = tmp_path_factory.mktemp("ids") / "events.csv"
    path.write_bytes(text.getvalue().encode())
    assert pairs(Interactions.read(path)) == sorted(set(rows))


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["7", "12"], [7, 12]),
        (["007", "7"], ["007", "7"]),
        (["+7", "8"], ["+7", "8"]),
        (["-0", "0"], ["-0", "0"]),
        (["1.0", "2.0"], ["1.0", "2.0"]),
        (["1e3", "5"], ["1e3", "5"]),
        (["-3", "4"], [-3, 4]),
        (["9223372036854775808", "1"], ["1", "9223372036854775808"]),
        ([" 7", "7"], [" 7", "7"]),
        (["A7", "7"], ["7", "A7"]),
    ],
)
def test_ids_become_integers_only_if_each_is_spelled_as_one(write, ids, expected):
    log = Interactions.read(write("user_id,item_id\n" + "".join(f"{each},x\n" for each in ids)))
    assert sorted(log.users.series.to_list(), key=expected.index) == expected


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("ratings.csv", "userId,movieId,rating,timestamp\n1,31,2.5,978300760\n2,31,4,978302109\n", {}),
        ("ratings.csv", "userId,movieId,rating,timestamp\r\n1,31,2.5,978300760\r\n\r\n2,31,4,978302109", {}),
        ("ratings.dat", "1::31::2.5::978300760\n2::31::4::978302109\n", {}),
        ("u.data", "1\t31\t2.5\t978300760\n2\t31\t4\t978302109\n", {}),
        (
            "x.inter",
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t31\t2.5\t978300760\n2\t31\t4\t978302109\n",
            {},
        ),
        ("x.csv", "rating;ts;item;user\n2.5;978300760;31;1\n4;978302109;31;2\n", {}),
        ("x.csv", "1|31|2.5|978300760\n2|31|4|978302109\n", {}),
        ("x.txt", "1 31 978300760 2.5\n2 31 978302109 4\n", {}),
        (
            "x.csv",
            "who,what,stars,when\n1,31,2.5,978300760\n2,31,4,978302109\n",
            {"user": "who", "item": "what", "timestamp": "when"},
        ),
        (
            "x.csv",
            "a,b,c,d\n978300760,2.5,31,1\n978302109,4,31,2\n",
            {"user": 3, "item": 2, "weight": 1, "timestamp": 0, "header": True},
        ),
        (
            "x.csv",
            '"user_id","item_id","rating","timestamp","x"\n1,31,2.5,978300760,"a, ""b"""\n2,31,4,978302109,"c\nd"\n',
            {},
        ),
        ("x.csv", "﻿user_id,item_id,rating,date\n1,31,2.5,2000-12-31T22:12:40Z\n2,31,4,2000-12-31 22:35:09\n", {}),
    ],
)
def test_layouts_are_found_out(write, name, text, options):
    log = Interactions.read(write(text, name), **options)
    assert pairs(log) == [(1, 31), (2, 31)]
    assert log.timestamps.tolist() == [978300760, 978302109]
    if log.weights is not None:
        assert log.weights.tolist() == [2.5, 4.0]


@pytest.mark.parametrize("flipped", [False, True])
def test_amazon_without_header_knows_who_is_who(write, flipped):
    rows = [("A2EFCYXHNK06IS", "5555991584"), ("A1V6B6TNIC10QE", "B00005B6TN")]
    text = "".join(f"{','.join(row[::-1] if flipped else row)},5.0,978480000\n" for row in rows)
    assert pairs(Interactions.read(write(text))) == sorted(rows)


def test_columns_may_be_left_out_and_weights_may_filter(write):
    path = write("user_id,item_id,rating,timestamp\na,x,5,bad\nb,y,3,1\n")
    log = Interactions.read(path, timestamp=False, min_weight=4)
    assert (pairs(log), log.timestamps) == ([("a", "x")], None)
    assert Interactions.read(path, timestamp=False, weight=False).weights is None


def test_ids_of_a_filtered_row_are_gone(write):
    log = Interactions.read(write("user_id,item_id,rating\na,x,5\nb,y,3\n"), min_weight=4)
    assert (log.n_users, log.n_items) == (1, 1)


def test_a_missing_last_field_that_is_not_needed_is_no_short_line(write):
    log = Interactions.read(write('user_id,item_id,title\na,x,"t"\nb,y,\nc,"z",""\n'))
    assert pairs(log) == [("a", "x"), ("b", "y"), ("c", "z")]


HEADER = "user_id,item_id,timestamp\n"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, r"events\.csv: must hold interactions; the file is empty\. "),
        ("\n \n", {}, "the file is empty"),
        (HEADER, {}, "there is a header and nothing else"),
        (HEADER + "\n\n", {}, "there is a header and nothing else"),
        (HEADER + "a,x,1\nb,y\n", {}, r"events\.csv, line 3: the line must have 3 fields as the header has; got 2\. "),
        (HEADER + "a,x,1\n\nb,y,1,2\n", {}, r"line 4: the line must have 3 fields .* got 4"),
        (HEADER + "b\na,x,1\nc,z,2\n", {}, r"line 2: the line must have 3 fields .* got 1"),
        ("\n\na,1\nb,2\nc,2,2\n", {}, r"line 5: the line must have 2 fields as line 3 has; got 3"),
        ("a,1\nb,2\nc,2,2\n", {}, r"line 3: the line must have 2 fields as line 1 has; got 3"),
        (HEADER + '"a, b",x,1\n"c\nd",y,2\ne,z\n', {}, r"line 5: the line must have 3 fields .* got 2"),
        (HEADER + '"a, b",x,1\n"c\nd",y,2\ne,z,1,2\n', {}, r"line 5: the line must have 3 fields .* got 4"),
        (HEADER + "a,x,1\n,y,1\n", {}, r"line 3: user \(column 'user_id'\) must hold an id; got nothing\. Fill"),
        (HEADER + "a,x,1\nb,NaN,1\nc,,2\n", {}, r"line 3: item \(column 'item_id'\) .* got 'NaN', and in 1 more rows"),
        (HEADER + "a,x,1\nb,null,1\n", {}, "got 'null'"),
        (HEADER + 'a,"x\n",1\n\n,y,2\n', {}, r"line 5: user .* got nothing"),
        (
            HEADER + "a,x,1\nb,y,soon\n",
            {},
            r"line 3: timestamp must be a number or a date .* got 'soon'.*timestamp=False",
        ),
        (HEADER + "a,x,2020-01-02\nb,y,soon\n", {}, r"line 3: timestamp must be .* got 'soon'"),
        (HEADER + "a,x,1\nb,y,inf\n", {}, r"line 3: timestamp must be .* got 'inf'"),
        (HEADER + "a,x,1\nb,y,\n", {}, r"line 3: timestamp must be .* got nothing"),
        (
            "user_id,item_id,rating\na,x,good\n",
            {},
            r"line 2: weight \(column 'rating'\) must be a finite number; got 'good'",
        ),
        ("user_id,item_id,rating\na,x,5\n", {"min_weight": 6}, "the largest weight is 5.0, got 6. Lower it"),
        (HEADER + "a,x,1\n", {"min_weight": 4}, "min_weight=4 must have weights"),
        (
            HEADER + "a,x,1\n",
            {"item": "itemid"},
            r"line 1: item must name a column; there is no 'itemid'\. Did you mean 'item_id'\? The columns there: ",
        ),
        (HEADER + "a,x,1\n", {"item": 3}, "item must be a column from 0 to 2; got 3"),
        (
            HEADER + "a,x,1\n",
            {"item": "user_id", "user": "user_id"},
            "user and item must be two columns; both are 'user_id'",
        ),
        (HEADER + "a,x,1\n", {"user": False}, "user must name a column; got False"),
        (
            "user_id,artikel\na,1\n",
            {},
            r"none has a usual name\. Name it with item=\.\.\. \. The columns there: user_id, artikel",
        ),
        ("user_id,itm_id\na,1\n", {}, r"Did you mean item='itm_id'\?"),
        ("user_id,item_id,x\na,1\nb,2\n", {}, r"line 1: the header must name 2 columns .* it names 3"),
        (
            "user_id\titem_id\na\tx\n",
            {"separator": ","},
            r"line 1: separator must split .* ',' splits none .* looks separated by tabs: pass '\\t'",
        ),
        (HEADER, {"separator": ",,"}, r"separator must be one character or '::'; got ',,'"),
        ("alice\nbob\n", {}, r"no separator splits them evenly\. Pass separator=\.\.\. \. The first line is 'alice'"),
        ("alice,apple\nbob,pear\n", {}, r"nobody can tell whether .* 'alice,apple'\. Pass header=True or header=False"),
        (
            "a,x,1\nb,y,2\n",
            {"user": "who", "header": False},
            r"user='who' must name a column of a header; the file has none",
        ),
        (
            "0\t2010-10-19T23:55:27Z\t30.2\t-97.7\t22\n",
            {},
            r"must say which of its 5 columns are users and items.*Pass user=",
        ),
        ("1,2020-01-02,7\n", {}, "must say which of its 3 columns"),
        (b"user_id,item_id\na,x\nb,\xe9\n", {}, r"events\.csv, line 3: must be UTF-8 text; byte 0xe9 is not"),
        ("user_id,item_id\na,x\n".encode("utf-16"), {}, "it is UTF-16. Save it as UTF-8"),
        (HEADER + "a,x,1\nb,y,2\n" * 9 + '"c,z,1\n' + "a,x,1\n" * 9, {}, r"line 20: a field in double quotes must end"),
        (HEADER + '"c,z,1\na,x,1\n', {}, r"line 2: a field in double quotes must end"),
        (HEADER + "a;x;1\nb;x;1;2\nc\n", {}, r"line 2: the line must have 3 fields as the header has; got 1"),
        (HEADER + 'a,x,1\n"c"c,z,1\n', {}, r"line 3: a field in double quotes must end with one, before the separator"),
        (b"PK\x03\x04...", {}, "it is a zip archive or spreadsheet. Unpack or convert it first"),
        (b"\x00\x01\x02", {}, "it is binary"),
    ],
)
def test_each_wrong_file_ends_in_one_clear_line(write, text, options, message):
    with pytest.raises(DataError, match=message) as caught:
        Interactions.read(write(text), **options)
    assert "\n" not in str(caught.value)
    assert "events.csv" in str(caught.value)


def test_a_text_header_decides_for_all_text_tables(write):
    text = "alice,apple\nbob,pear\n"
    assert len(Interactions.read(write(text), header=False)) == 2
    assert pairs(Interactions.read(write("alice,apple\nalice,pear\n"))) == [("alice", "apple"), ("alice", "pear")]
    assert pairs(Interactions.read(write(text), header=True, user=0, item=1)) == [("bob", "pear")]


@pytest.mark.real_data
def test_published_size_of_ml_100k(real_data):
    log = Interactions.read(real_data / "ml-100k")
    assert (log.n_users, log.n_items, len(log), log.n_duplicates) == (943, 1682, 100_000, 0)
    assert log.timestamps.min() == 874724710
    with (real_data / "ml-100k" / "ml-100k.inter").open() as file:
        lines = [line.split("\t") for line in file][1:]
    expected = sorted((int(line[0]), int(line[1])) for line in lines)
    assert pairs(log) == expected
