"""LightGCN's files against a plain loop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimargin.data import Interactions, read_parts
from multimargin.data.problems import raise_at_once
from multimargin.data.sources import Source
from multimargin.data.user_lines import looks_like_user_lines, read_user_lines
from multimargin.errors import DataError

LINES = st.lists(
    st.tuples(st.lists(st.integers(0, 10_000), min_size=1, max_size=6), st.sampled_from(["", " ", "\r", " \r"])),
    min_size=1,
    max_size=12,
)


@given(LINES, st.booleans())
def test_lines_mean_what_a_loop_reads(tmp_path_factory, lines, ends_with_newline):
    text = "\n".join(" ".join(map(str, numbers)) + end for numbers, end in lines) + ("\n" if ends_with_newline else "")
    table = read_user_lines(Source(tmp_path_factory.getbasetemp(), text.encode()), raise_at_once)
    pairs, n_users, n_items = [], 0, 0
    for line in text.split("\n"):
        numbers = [int(word) for word in line.split()]
        n_users = max([n_users, *(number + 1 for number in numbers[:1])])
        for item in numbers[1:]:
            pairs.append((numbers[0], item))
            n_items = max(n_items, item + 1)
    assert list(zip(table.user, table.item, strict=True)) == pairs
    assert (table.n_users, table.n_items) == (n_users, n_items)


def test_parts_share_sizes_and_users_without_items_count(tmp_path):
    (tmp_path / "train.txt").write_text("0 1 2 \n1\n2 0\n")
    (tmp_path / "test.txt").write_text("0 5\n7 \n")
    train, valid, test = read_parts(tmp_path)
    assert valid is None
    assert (train.n_users, train.n_items) == (8, 6)
    assert train.users == test.users
    assert train.user_counts.tolist() == [2, 0, 1, 0, 0, 0, 0, 0]
    assert [test.items_of(0).tolist(), len(test)] == [[5], 1]
    assert train.users.series.to_list() == list(range(8))


def test_a_part_is_read_as_the_training_file_is(tmp_path):
    (tmp_path / "train.txt").write_text("0 1 2\n1 4\n2 0\n")
    (tmp_path / "valid.txt").write_text("0 3\n1 2\n")  # alone, this could be a table of two columns
    (tmp_path / "test.txt").write_text("0 5 6 7\n1 6 0 2\n")  # and this one of four
    split = read_parts(tmp_path)
    assert [len(part) for part in split] == [4, 2, 6]
    assert split.n_items == 8


def test_a_word_is_named_with_its_line(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("0 1 2\n1 4\n2 0 x7 9\n3 1\n4 b\n")
    with pytest.raises(DataError, match=r"train\.txt, line 3: .* whole numbers .* got 'x7', and in 1 more lines\. "):
        Interactions.read(path)


@pytest.mark.parametrize("number", ["99999999999", "12345678901234567890123"])
def test_an_id_that_is_no_index_is_refused(tmp_path, number):
    path = tmp_path / "train.txt"
    path.write_text(f"0 1 2\n1 {number}\n")
    with pytest.raises(DataError, match=rf"line 2: ids in user lines must be indices .* got {number}\. Put ids"):
        Interactions.read(path)


@pytest.mark.parametrize(
    ("text", "named_part", "expected"),
    [
        ("0 1 2\n1 2\n", False, True),
        ("0 1\n1 2\n", False, False),
        ("0 1\n1 2\n", True, True),
        ("0 1 5\n0 2 4\n", True, False),
        ("0 1 5 6 7\n1 2 4 8 9\n", False, True),
        ("0\t1\n1\t2\t3\n", False, False),
        ("0,1\n1,2,3\n", True, False),
        ("a b\nc d e\n", True, False),
        ("0 1 2\n1 x\n2 3\n", True, True),
        ("0 1 2\n1 x\n2 3\n", False, False),
    ],
)
def test_told_from_tables(tmp_path, text, named_part, expected):
    assert looks_like_user_lines(Source(tmp_path, text.encode()), named_part=named_part) is expected


def test_options_for_tables_make_it_a_table(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("10 7 5\n11 8 4\n")
    assert len(Interactions.read(path, user=0, item=1, weight=2)) == 2


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "users", "items", "n_train", "n_test"),
    [("gowalla", 29_858, 40_981, 810_128, 217_242), ("yelp2018", 31_668, 38_048, 1_237_259, 324_147)],
)
def test_published_sizes(real_data, name, users, items, n_train, n_test):
    split = read_parts(real_data / name)
    assert (split.n_users, split.n_items, len(split.train), len(split.test)) == (users, items, n_train, n_test)
    assert split.valid is None
    with (real_data / name / "test.txt").open() as file:
        for line in file:
            user, *expected = map(int, line.split())
            assert split.test.items_of(user).tolist() == sorted(expected)
