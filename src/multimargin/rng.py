"""One seed, many named, independent streams: "split", "init", "shuffle", "negatives", "dropout", "encoder" and more.

What must not depend on threads, batch size or interruptions is drawn by place, not by turn: a ``CounterRng`` says which
place of which stream, and ``kernels/draws.py`` turns a place into bits.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from multimargin import checks


@dataclass(frozen=True)
class CounterRng:
    """The randomness a negative sampler is handed: a stream's key and the place of the batch in it.

    Args:
        key: 64-bit key of the stream.
        offset: place of the batch's first row in the stream; row ``b``'s ``n``-th draw of N is number
            ``(offset + b) * N + n``.
    """

    key: int
    offset: int = 0

    def branch(self, name: str) -> "CounterRng":
        """Return the same place of another stream, for samplers that draw twice."""
        words = np.array([self.key], dtype=np.uint64).view(np.uint32)
        sequence = np.random.SeedSequence([*map(int, words), zlib.crc32(name.encode())])
        return CounterRng(int(sequence.generate_state(1, np.uint64)[0]), self.offset)

    def generator(self) -> np.random.Generator:
        """Return an ordinary generator fixed by key and offset, for samplers that need more than uniform bits."""
        return np.random.Generator(np.random.Philox(key=np.array([self.key, self.offset], dtype=np.uint64)))


class Streams:
    """Named, independent sources of randomness from one seed."""

    def __init__(self, seed: int):
        self.seed = checks.at_least("seed", seed, 0)

    def _sequence(self, name: str, index: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(name.encode()), index))

    def generator(self, name: str, index: int = 0) -> np.random.Generator:
        """Return a fresh generator for stream ``name`` (``index``: for instance the epoch)."""
        return np.random.Generator(np.random.PCG64(self._sequence(name, index)))

    def key(self, name: str, index: int = 0) -> int:
        """Return the 64-bit key of stream ``name`` for counter-based draws."""
        return int(self._sequence(name, index).generate_state(1, np.uint64)[0])


def as_generator(rng: int | np.random.Generator, name: str) -> np.random.Generator:
    """Return ``rng`` itself, or stream ``name`` of the seed it is."""
    return rng if isinstance(rng, np.random.Generator) else Streams(rng).generator(name)
