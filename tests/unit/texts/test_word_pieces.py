"""WordPiece against hand-made rows."""

import pytest

from multimargin.texts.word_pieces import WordPieces, by_length

NAMES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "un",
    "##aff",
    "##able",
    "##a",
    "naive",
    "cafe",
    "Cafe",
    "!",
    "-",
    "東",
    "x",
]
PIECES = {name: number for number, name in enumerate(NAMES)}


def pieces_of(text, **options):
    tokens, mask = WordPieces(PIECES, **options)([text])
    assert mask.all()
    return [NAMES[number] for number in tokens[0]][1:-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unaffable", ["un", "##aff", "##able"]),
        ("UNAFFABLE un", ["un", "##aff", "##able", "un"]),
        ("una", ["un", "##a"]),
        ("unx", ["[UNK]"]),  # a word of which a part is unknown is unknown as a whole
        ("naïve Café!", ["naive", "cafe", "!"]),
        ("un-un", ["un", "-", "un"]),
        ("x東x", ["x", "東", "x"]),
        ("x" * 101, ["[UNK]"]),
        ("u\x00n\u200b\tx\n", ["un", "x"]),
        ("\ufffd x", ["x"]),
        ("", []),
        ("$", ["[UNK]"]),
    ],
)
def test_a_text_in_pieces(text, expected):
    assert pieces_of(text) == expected


def test_cased_models_keep_case():
    assert pieces_of("Cafe cafe", lower=False) == ["Cafe", "cafe"]


def test_what_is_too_long_is_cut_off_before_the_end_sign():
    tokens, _ = WordPieces(PIECES, length=4)(["x ! x !"])
    assert [NAMES[number] for number in tokens[0]] == ["[CLS]", "x", "!", "[SEP]"]


def test_shorter_rows_are_filled_up():
    tokens, mask = WordPieces(PIECES)(["x x", "x"])
    assert tokens.tolist() == [[2, 14, 14, 3], [2, 14, 3, 0]]
    assert mask.tolist() == [[True] * 4, [True, True, True, False]]


def test_a_vocabulary_is_read_line_by_line(tmp_path):
    (tmp_path / "vocab.txt").write_bytes("\n".join(NAMES).encode() + b"\n")
    read = WordPieces.read(tmp_path / "vocab.txt", lower=True, length=9)
    assert [read.pieces[name] for name in NAMES] == list(range(len(NAMES)))
    (tmp_path / "vocab.txt").write_bytes("\r\n".join(NAMES).encode())
    assert WordPieces.read(tmp_path / "vocab.txt", lower=True, length=9).pieces == PIECES


def test_batches_are_of_texts_of_a_length():
    assert by_length(["aa", "a", "aaaa", "", "aaa"], 2) == [[2, 4], [0, 1], [3]]
    assert by_length([], 2) == []
