"""BERT's WordPiece: a text becomes the numbers of the longest pieces of words that a vocabulary holds."""

import unicodedata
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_LONGEST = 100  # characters of a word that is still taken apart
_CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPieces:
    """Tokenises as BERT does.

    Args:
        pieces: piece -> number; one inside a word begins with ``##``.
        lower: lower case without accents, as "uncased" models want it.
        length: tokens of a text at most, [CLS] and [SEP] included; the rest is cut off.

    Source:
        Devlin et al. 2018, arXiv 1810.04805; google-research/bert, tokenization.py.
    Differs:
        control characters that are not white space are dropped by their category alone.
    Example:
        >>> names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "toy", "st", "##ory", "!"]
        >>> tokens, mask = WordPieces({name: k for k, name in enumerate(names)})(["Toy Story!", "Heat"])
        >>> tokens.tolist(), mask.sum(axis=1).tolist()
        ([[2, 4, 5, 6, 7, 3], [2, 1, 3, 0, 0, 0]], [6, 3])
    """

    def __init__(self, pieces: dict[str, int], *, lower: bool = True, length: int = 256):
        self.pieces, self.lower, self.length = pieces, lower, length

    @classmethod
    def read(cls, path: Path, *, lower: bool, length: int) -> "WordPieces":
        """Read a ``vocab.txt``: one piece a line, numbered from 0."""
        lines = path.read_text("utf-8").split("\n")
        return cls({line.rstrip("\r"): number for number, line in enumerate(lines)}, lower=lower, length=length)

    def __call__(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return numbers, (B, longest), and which of them are tokens rather than padding."""
        rows = [self._tokens(text) for text in texts]
        longest = max(map(len, rows), default=0)
        tokens = np.full((len(rows), longest), self.pieces["[PAD]"], dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=bool)
        for place, row in enumerate(rows):
            tokens[place, : len(row)], mask[place, : len(row)] = row, True
        return tokens, mask

    def _tokens(self, text: str) -> list[int]:
        inner = [piece for word in self._words(text) for piece in self._pieces_of(word)]
        return [self.pieces["[CLS]"], *inner[: self.length - 2], self.pieces["[SEP]"]]

    def _words(self, text: str) -> list[str]:
        if self.lower:
            decomposed = unicodedata.normalize("NFD", text.lower())
            text = "".join(each for each in decomposed if unicodedata.category(each) != "Mn")
        # what stands alone gets white space round it; control characters vanish
        spaced = (f" {each} " if _stands_alone(each) else each for each in text if not _is_control(each))
        return "".join(spaced).split()

    def _pieces_of(self, word: str) -> list[int]:
        unknown = [self.pieces["[UNK]"]]
        if len(word) > _LONGEST:
            return unknown
        found: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((each for each in ends if prefix + word[start:each] in self.pieces), None)
            if end is None:
                return unknown
            found.append(self.pieces[prefix + word[start:end]])
            start = end
        return found


def _stands_alone(character: str) -> bool:
    code = ord(character)
    ascii_sign = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_sign or unicodedata.category(character)[0] == "P" or any(low <= code <= high for low, high in _CJK)


def _is_control(character: str) -> bool:
    return character not in "\t\n\r" and (unicodedata.category(character)[0] == "C" or character == "\ufffd")


def by_length(texts: Sequence[str], size: int) -> list[list[int]]:
    """Return places of texts in batches of ``size``, long ones first, so that little is padding."""
    order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
    return [[place for _, place in batch] for _, batch in groupby(enumerate(order), key=lambda pair: pair[0] // size)]
