"""Files read in tiny blocks against the same files read whole: the same interactions, or the same complaint."""

import gzip

import numpy as np
import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from multimargin.data import Interactions, RandomPerUser, check_data, interactions, read_parts, readers, sources
from multimargin.data.times import Times, UndecidedError
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import DataError


@pytest.fixture(params=[1, 7, 40])
def in_blocks(request):
    """Return a function that calls another with blocks of so many bytes, rows and interactions."""

    def call(function, *arguments, **options):
        with pytest.MonkeyPatch.context() as patch:
            for module, name in ((sources, "BLOCK"), (sources, "_PIECE"), (readers, "_ROWS"), (interactions, "_BLOCK")):
                patch.setattr(module, name, request.param)
            return function(*arguments, **options)

    return call


def outcome(path, **options):
    """Return all that reading gives: data, or the message."""
    try:
        log = Interactions.read(path, **options)
    except DataError as error:
        return str(error)
    return log.fingerprint, log.n_duplicates, log.users.series.to_list(), log.items.series.to_list()


def findings(path):
    return [str(finding) for finding in check_data(path)]


ROWS = "".join(f"{user},{item},{user * item}\n" for user in range(12) for item in range(0, user, 2))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("user_id,item_id,ts\n" + ROWS, {}),
        ("user_id,item_id,ts\n" + ROWS + ROWS, {}),  # each pair again, many blocks later
        ("user_id,item_id,rating\n" + ROWS, {"min_weight": 60}),
        ("user_id,item_id,rating\n" + ROWS, {"min_weight": 600}),
        ("user_id,item_id,ts\n" + ROWS + "a1,3,4\n", {}),  # integers up to here
        ("user_id,item_id,ts\n" + ROWS + "007,3,4\n7,3,5\n", {}),
        ("user_id,item_id,ts\n" + ROWS + "1,2,3.5\n", {}),
        ("user_id,item_id,ts\n" + ROWS + "1,2,soon\n1,4,never\n", {}),
        ("user_id,item_id,ts\n" + ROWS + "1,2,2020-01-02\n", {}),  # numbers up to here
        ("user_id,item_id,ts\na,x,2020-01-02\nb,y,2020-01-03\nc,z,2020-01-04 00:00:01.5\n", {}),
        ("user_id,item_id,ts\na,x,2020-01-02\nb,y,2020/01/03\nc,z,2020-01-04\n", {}),
        ("user_id,item_id,ts\na,x,2020-01-02T03:04:05Z\nb,y,2020-01-03T03:04:05Z\nc,z,5\n", {}),
        ("user_id,item_id,ts\n" + ROWS + "1,2\n" + ROWS + "1,2,3,4\n" * 7, {}),
        ("user_id,item_id,ts\n" + ROWS + ",2,3\n" + ROWS + "1,,3\n,,4\n", {}),
        ("user_id,item_id,ts\n\n\n" + ROWS + "\n\r\n\n" + ROWS + ",2,3\n\n\n", {}),
        ("\n\n" + ROWS + "\n\n" + "1,2\n", {}),
        ("user_id,item_id,title\n" + 'a,x,"one\ntwo, ""three"""\nb,y,\n\nc,"z\n\nz",5" pipe\nd,x,"t"\n', {}),
        ("user_id,item_id,title\n" + 'a,x,"one\ntwo"\n' * 5 + 'a,y,"never ends\n' + "b,y,z\n" * 9, {}),
        ("user_id,item_id,title\n" + 'a,x,5" pipe\n' * 5 + 'a,y,"one\ntwo"\nb\n', {}),
        ("user_id,item_id,title\n" + 'a,x,"one\ntwo"\n' * 5 + 'a,y,"one"x\n' + "b,y,z\n" * 9, {}),
        ("1::31::2.5::978300760\n" + "2::31::4::978302109\n3::4::5\n", {}),
        ("\n\n\nuser_id\titem_id\n" + "1\t2\n" * 3 + "5\t\n", {}),
        ("user_id,item_id\n\n\n\n", {}),
        ("\ufeffuser_id,item_id\n1,2\n", {}),
        ("user_id,item_id\n1,2", {}),
    ],
)
@pytest.mark.parametrize("compress", [None, gzip.compress, zstandard.compress])
def test_tables(tmp_path, in_blocks, text, options, compress):
    path = tmp_path / "events.csv"
    path.write_bytes(text.encode() if compress is None else compress(text.encode()))
    assert in_blocks(outcome, path, **options) == outcome(path, **options)
    if compress is None:
        assert in_blocks(findings, path) == findings(path)


FIELDS = st.sampled_from(
    ["1", "2", "12", "007", "a", "b c", "", "null", '"q"', '"two\nlines"', '"a ""b"""', "2.5", "é"]
)


@given(st.lists(st.lists(FIELDS, min_size=2, max_size=3), min_size=1, max_size=12), st.integers(1, 30))
def test_any_table(tmp_path_factory, rows, size):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("user_id,item_id\n" + "".join(",".join(row) + "\n" for row in [["9", "9"], ["8", "9"], *rows]))
    whole = outcome(path), findings(path)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BLOCK", "_PIECE"):
            patch.setattr(sources, name, size)
        assert (outcome(path), findings(path)) == whole


@pytest.mark.parametrize("line", [b"b,\xe9,3\n", b'b,"x"y,3\n'])
def test_what_nobody_can_parse_is_named_by_its_line(tmp_path, in_blocks, line):
    path = tmp_path / "events.csv"
    path.write_bytes(b'user_id,item_id,x\n"a",b,2\n' * 30 + line + b"a,b,2\n" * 30)
    assert "line 61: " in outcome(path)
    assert in_blocks(outcome, path) == outcome(path)


LINES = "".join(f"{user} {' '.join(map(str, range(user % 4, 9)))}\n" for user in range(15))


@pytest.mark.parametrize(
    "text",
    [
        LINES,
        LINES + LINES,
        LINES + "20\n21 \n\n22 1 2 1",
        LINES + "15 x7\n" + LINES + "16 1 y\n",
        LINES + "15 99999999\n16 99999999999\n",
        LINES + "15 1\n88888888 1 99999999\n",
        LINES + "15 1 99999999999\n16 12345678901234567890123\n",
        LINES + "15 1 12345678901234567890123\n16 x\n",
        LINES + "15 1 2\r\n16 3\r\n",
    ],
)
def test_user_lines(tmp_path, in_blocks, text):
    (tmp_path / "train.txt").write_text(text)
    (tmp_path / "test.txt").write_text("0 30\n17 2\n")
    assert in_blocks(outcome, tmp_path) == outcome(tmp_path)
    assert in_blocks(findings, tmp_path) == findings(tmp_path)


def test_a_cut_archive_says_so_when_it_ends(tmp_path, in_blocks):
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(("user_id,item_id,ts\n" + ROWS).encode())[:-8])
    assert in_blocks(outcome, path) == outcome(path)
    assert "must be a whole compressed file" in outcome(path)


@pytest.mark.parametrize(
    "columns",
    [
        {"user_id": [5, 4, 5] * 40, "item_id": [str(each % 50) for each in range(120)], "ts": range(120)},
        {"user_id": [5.0] * 119 + [None], "item_id": range(120)},
        {"user_id": [5] * 100 + [None] + [6] * 18 + [None], "item_id": range(120)},
        {"user_id": [2**63 + 5] * 120, "item_id": [-(10**15) * each for each in range(120)], "rating": [0.5] * 120},
    ],
)
def test_parquet_and_frames(tmp_path, in_blocks, columns):
    frame = pl.DataFrame(columns)
    frame.write_parquet(tmp_path / "x.parquet")
    assert in_blocks(outcome, tmp_path / "x.parquet") == outcome(tmp_path / "x.parquet")

    def taken():
        try:
            return Interactions.from_frame(frame).fingerprint
        except DataError as error:
            return str(error)

    assert in_blocks(taken) == taken()


def test_parts_of_text_and_of_integers_share_their_ids(tmp_path, in_blocks):
    (tmp_path / "train.csv").write_text("user_id,item_id\n" + "".join(f"{each},{each % 7}\n" for each in range(30)))
    pl.DataFrame({"user_id": [40, 3], "item_id": [100, 2]}).write_parquet(tmp_path / "test.parquet")
    whole, parts = read_parts(tmp_path), in_blocks(read_parts, tmp_path)
    assert parts.hash == whole.hash
    assert whole.train.users.series.dtype == pl.Int64


def test_splits_do_not_depend_on_blocks_of_users(in_blocks):
    rng = np.random.default_rng(0)
    pairs = rng.integers(30, size=(2, 400))
    log = Interactions.from_pairs(*pairs, Vocabulary.range(40), Vocabulary.range(30))
    whole, blocks = (
        call(log.split, RandomPerUser(0.2, 0.3), rng=3) for call in (lambda f, *a, **k: f(*a, **k), in_blocks)
    )
    assert blocks.hash == whole.hash
    other = whole.test.union([whole.valid])
    expected = {(u, i) for u, i in zip(other.user_index.tolist(), other.indices.tolist(), strict=True)}
    mine = [pair in expected for pair in zip(log.user_index.tolist(), log.indices.tolist(), strict=True)]
    assert in_blocks(log.are_in, other).tolist() == log.are_in(other).tolist() == mine
    assert 0 < sum(mine) < len(mine)


def test_dates_after_numbers_are_left_to_the_whole_column():
    times = Times()
    assert times.add(pl.Series(["1", None])).to_list() == [1, None]
    with pytest.raises(UndecidedError):
        times.add(pl.Series(["2020-01-02"]))
