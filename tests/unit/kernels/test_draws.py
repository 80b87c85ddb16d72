"""Counter-based bits and bounded integers: compiled equals NumPy, both equal plain Python."""

import numpy as np
import pytest
import scipy.stats

from multimargin.kernels.draws import below, below_reference, bits, bits_reference, dropout_scale

MASK = 2**64 - 1
COUNTERS = [0, 1, 2, 12345, 2**32, 2**63, 2**64 - 2]


def splitmix(key, counter):
    z = (key + (counter + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@pytest.mark.parametrize("key", [0, 1, 2019, 2**63 + 7, MASK])
def test_bits_are_splitmix(key):
    expected = [splitmix(key, counter) for counter in COUNTERS]
    assert bits_reference(key, np.array(COUNTERS, dtype=np.uint64)).tolist() == expected
    assert [int(bits(np.uint64(key), np.uint64(counter))) for counter in COUNTERS] == expected


def test_bits_are_the_published_first_numbers_of_splitmix64():
    # seed 1234567, as in the test vectors that circulate with Vigna's splitmix64.c
    assert bits_reference(1234567, np.arange(3, dtype=np.uint64)).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@pytest.mark.parametrize("n", [1, 2, 3, 40981, 2**31, 2**32 - 1])
def test_below_is_the_high_word_of_the_product(n):
    draws = bits_reference(5, np.arange(200, dtype=np.uint64))
    draws = np.concatenate([draws, np.array([0, 1, MASK, MASK - 1, 2**32, 2**63], dtype=np.uint64)])
    expected = [int(each) * n >> 64 for each in draws]
    assert below_reference(draws, np.uint64(n)).tolist() == expected
    assert [int(below(each, np.uint64(n))) for each in draws] == expected


def test_draws_are_uniform_and_streams_do_not_lean_on_one_another():
    counters = np.arange(200_000, dtype=np.uint64)
    one = below_reference(bits_reference(11, counters), np.uint64(97))
    other = below_reference(bits_reference(12, counters), np.uint64(97))
    assert scipy.stats.chisquare(np.bincount(one, minlength=97)).pvalue > 1e-4
    table = np.zeros((97, 97))
    np.add.at(table, (one, other), 1)
    assert scipy.stats.chisquare(table.ravel()).pvalue > 1e-4
    table = np.zeros((97, 97))
    np.add.at(table, (one[:-1:2], one[1::2]), 1)
    assert scipy.stats.chisquare(table.ravel()).pvalue > 1e-4


@pytest.mark.parametrize("dim", [1, 7, 64])
def test_dropout_is_drawn_by_place_two_entries_from_64_bits(dim):
    key, dropped, per_row = 2**63 + 5, 0.3, (dim + 1) // 2
    found = dropout_scale(np.uint64(key), 10, 50, dim, dropped)
    for b, d in ((0, 0), (3, dim - 1), (49, dim // 2)):
        number = int(bits_reference(key, np.array([(10 + b) * per_row + d // 2], np.uint64))[0])
        half = number >> 32 if d % 2 else number & 0xFFFFFFFF
        assert found[b, d] == pytest.approx(0 if half < dropped * 2**32 else 1 / 0.7)
    np.testing.assert_array_equal(found[20:], dropout_scale(np.uint64(key), 30, 30, dim, dropped))


def test_dropout_drops_its_share_and_keeps_the_mean():
    found = dropout_scale(np.uint64(3), 0, 4000, 64, 0.1)
    assert (found == 0).mean() == pytest.approx(0.1, abs=0.002)
    assert found.mean() == pytest.approx(1.0, abs=0.003)
    assert np.abs(np.corrcoef(found[:, :8].T) - np.eye(8)).max() < 0.06
