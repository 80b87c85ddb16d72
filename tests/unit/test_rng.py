"""One seed, many streams."""

import numpy as np
import pytest

from multimargin.errors import ArgumentError
from multimargin.rng import CounterRng, Streams, as_generator


def test_same_seed_and_name_same_stream():
    assert Streams(7).key("negatives", 3) == Streams(7).key("negatives", 3)
    assert Streams(7).generator("init").random(5).tolist() == Streams(7).generator("init").random(5).tolist()


def test_seed_name_and_index_each_make_another_stream():
    keys = {Streams(seed).key(name, index) for seed in (0, 1) for name in ("split", "init") for index in (0, 1, 2)}
    assert len(keys) == 12
    assert all(0 <= key < 2**64 for key in keys)


def test_streams_are_pinned():
    # these numbers are part of every published result: a change belongs under "Changes results"
    assert Streams(2019).key("negatives", 1) == 7101515715203209668
    assert Streams(2019).generator("init").integers(0, 1000, 4).tolist() == [389, 187, 114, 316]


def test_a_fresh_generator_starts_over():
    streams = Streams(1)
    first = streams.generator("shuffle", 4).permutation(9)
    streams.generator("shuffle", 5).random(100)
    np.testing.assert_array_equal(first, streams.generator("shuffle", 4).permutation(9))


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None, True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ArgumentError, match="seed must be"):
        Streams(seed)


def test_counter_rng_makes_a_generator_of_its_place():
    here = CounterRng(5, 7)
    assert here.generator().random() == here.generator().random()
    assert len({CounterRng(key, offset).generator().random() for key in (5, 6) for offset in (7, 8)}) == 4
    assert 0 <= CounterRng(2**64 - 1, 2**40).generator().random() < 1


def test_as_generator_takes_a_seed_or_a_generator():
    generator = np.random.default_rng(0)
    assert as_generator(generator, "split") is generator
    assert as_generator(3, "split").random() == Streams(3).generator("split").random()
