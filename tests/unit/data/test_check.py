"""What ``data check`` must find, one file for each; and that it stays silent about sound data."""

import pytest

from multimargin.data import check_data

SOUND = "user_id,item_id,timestamp\n" + "".join(
    f"u{user},i{(user * 7 + step) % 31},{1_577_836_800 + 10 * user + step}\n" for user in range(25) for step in range(6)
)


@pytest.fixture
def found(tmp_path):
    """Write files, check the folder (or the only file), return the findings as lines."""

    def found(files, **options):
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        path = tmp_path if len(files) > 1 else tmp_path / next(iter(files))
        return [str(finding).replace(f"{tmp_path}/", "") for finding in check_data(path, **options)]

    return found


def test_sound_data_has_a_clean_bill(found):
    assert found({"events.csv": SOUND}) == []


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("", {}, "error: events.csv: must hold interactions; the file is empty"),
        (SOUND, {"separator": ";"}, "error: events.csv, line 1: separator must split the lines"),
        (SOUND, {"item": "itemid"}, "error: events.csv, line 1: item must name a column; there is no 'itemid'"),
        (SOUND + "u1,i2\n", {}, "error: events.csv, line 152: the line must have 3 fields as the header has; got 2"),
        (
            SOUND + "u1,i2,3,4\n",
            {},
            "error: events.csv, line 152: the line must have 3 fields as the header has; got 4",
        ),
        (SOUND + ",i2,3\n", {}, "error: events.csv, line 152: user (column 'user_id') must hold an id; got nothing"),
        (SOUND + "u1,i2,x\n", {}, "error: events.csv, line 152: timestamp must be a number"),
        (SOUND + "u0,i0,1577836900\n", {}, "note: events.csv: 1 of 151 rows repeat an earlier pair"),
        (SOUND + SOUND.partition("\n")[2], {}, "warning: events.csv: 150 of 300 rows repeat an earlier pair"),
        (
            SOUND + "u77,i1,1577836900\n",
            {},
            "note: events.csv: 1 of 26 users have fewer than 5 interactions, 1 of them only one",
        ),
        (SOUND, {"min_items": 7}, "warning: events.csv: 25 of 25 users have fewer than 7"),
        (SOUND + "u1,i2 ,1577836900\n", {}, "warning: events.csv: 1 item ids begin or end with a space, such as 'i2 '"),
        (
            SOUND + "U1,i2,1577836900\n",
            {},
            "warning: events.csv: 2 user ids differ only by case or spaces, such as 'U1' and 'u1'",
        ),
        (
            SOUND + "07,i2,1577836900\n7,i2,1577836900\n",
            {},
            "user ids differ only by zeros in front, such as '07' and '7'",
        ),
        (SOUND + "u1,7,1577836900\nu1,7.0,1577836900\n", {}, "item ids differ only by a '.0' at the end"),
        (SOUND + "u1,i30,0\n", {}, "warning: events.csv: 1 timestamps are 0 or negative"),
        (
            SOUND + "u1,i30,1577836800000\n",
            {},
            "warning: events.csv: the latest timestamp is 1577836800000, after the year 2100",
        ),
        (SOUND.replace(",1577", ",91577"), {}, None),
        ("user_id,item_id,timestamp\na,x,5\nb,y,5\n", {}, "warning: events.csv: all 2 timestamps are 5"),
        (
            "user_id,item_id,rating\na,x,5\na,y,1\nb,y,4\n",
            {},
            "note: events.csv: rating goes from 1 to 5, and every row counts",
        ),
        ("user_id,item_id,score\na,x,-1\na,y,1\n", {}, "warning: events.csv: score goes from -1 to 1"),
        (
            "user_id,item_id\n" + "".join(f"{u},{i}\n" for u in range(30) for i in range(6)),
            {},
            "100% of all pairs occur",
        ),
        ("user_id,item_id\n" + "".join(f"{u},{u % 6}\n" for u in range(30)), {}, "there are 6 items for 30 users"),
        (
            SOUND + "".join(f"u{u},hit,1577836900\n" for u in range(25)),
            {},
            "note: events.csv: item 'hit' is with 100% of the users",
        ),
        (
            SOUND + "".join(f"bot,i{i},1577836900\n" for i in range(1500)),
            {},
            "user 'bot' has 1,500 interactions, over 100 times",
        ),
    ],
)
def test_one_file(found, text, options, expected):
    lines = found({"events.csv": text}, **options)
    if expected is not None:
        assert any(expected in line for line in lines), lines


def test_mixed_units(found):
    rows = [
        f"u{user},i{item},{(1_577_836_800 + item) * (1 if user == 3 else 1000)}\n"
        for user in range(25)
        for item in range(6)
    ]
    lines = found({"events.csv": "user_id,item_id,timestamp\n" + "".join(rows)})
    assert any("6 timestamps are hundreds of times smaller" in line for line in lines), lines


def test_many_things_at_once_with_errors_first(found):
    lines = found({"events.csv": SOUND + "u1\nu2,i3,soon\n,i1,5\nu0,i0,1577836800\nu1,i1,i1,1\n"})
    kinds = [line.partition(":")[0] for line in lines]
    assert kinds == sorted(kinds, key=["error", "warning", "note"].index)
    assert [line.split(": ")[1] for line in lines[:4]] == [f"events.csv, line {line}" for line in (152, 156, 154, 153)]
    assert any("1 of 151 rows repeat" in line for line in lines)


def test_many_ragged_lines_are_summed_up(found):
    lines = found({"events.csv": SOUND + "u1\n" * 20})
    assert sum("the line must have 3 fields" in line for line in lines) == 5
    assert any("15 more lines are ragged" in line for line in lines)


def test_quoted_tables_are_checked_likewise(found):
    text = 'user_id,item_id,title\na,x,"t, u"\nb,"y\nz",t\nc,y\nd,y,t,t\n,y,t\n'
    lines = [line for line in found({"events.csv": text}) if line.startswith("error")]
    assert [line.split(": ")[1] for line in lines] == [f"events.csv, line {line}" for line in (5, 6, 7)]


def test_parts(found):
    lines = found(
        {
            "train.csv": "user_id,item_id,timestamp\n1,10,100\n1,11,500\n2,10,300\n2,11,900\n",
            "valid.csv": "user_id,item_id,timestamp\n1,12,500\n",
            "test.csv": "user_id,item_id,timestamp\n1,10,600\n1,12,600\n3,11,700\n",
        }
    )
    for expected in (
        "(test): 1 of 3 pairs are in train too, such as user 1 and item 10. Delete them from test",
        "(test): 1 of 3 pairs are in valid too, such as user 1 and item 12",
        "(test): 1 users are in test but not in train, such as 3",
        "(test): 1 items are in test but not in train, such as 12",
        "(valid): 1 items are in valid but not in train, such as 12",
        "(test): 1 of 4 training interactions are later than the first of test, 600",
        "(valid): 1 of 4 training interactions are later than the first of valid, 500",
    ):
        assert any(expected in line for line in lines), (expected, lines)


def test_user_lines(found):
    lines = found({"train.txt": "0 1 2\n1\n0 4\nx 5\n", "test.txt": "0 1\n3 9\n"})
    for expected in (
        "error: train.txt, line 4: a user line must hold whole numbers separated by spaces; got 'x'",
        "warning: train.txt, line 3: user 0 has a line of its own already",
        "note: train.txt: 1 users have a line but no items",
        "1 of 2 pairs are in train too",
        "1 users are in test but not in train, such as 3",
    ):
        assert any(expected in line for line in lines), (expected, lines)


def test_only_a_training_part(found, tmp_path):
    (tmp_path / "note.md").write_text("")
    assert any("there is no test part" in line for line in found({"train.csv": SOUND, "note.md": ""}))


def test_nothing_there(tmp_path):
    (finding,) = check_data(tmp_path / "nothing.csv")
    assert finding.level == "error"
    assert "must be an existing file or folder" in finding.what
    (finding,) = check_data(tmp_path)
    assert "it holds nothing" in finding.what


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["gowalla", "yelp2018"])
def test_published_splits_are_sound(real_data, name):
    assert [finding for finding in check_data(real_data / name) if finding.level == "error"] == []
