"""Tests of the tests: against scipy on constructed cases, and a method against itself, 200 times."""

import doctest

import numpy as np
import pytest
from scipy import stats

from multimargin.errors import ArgumentError
from multimargin.experiments import analysis, significance
from multimargin.experiments.significance import LEVEL, compare_pair, holm, interval, paired_t, sign_flips

REPETITIONS = 200
MOST = int(stats.binom.ppf(0.999, REPETITIONS, LEVEL))  # false finds that a test of that level has with 99.9 %


def recall_like(rng, n):
    """Metrics as they are: mostly 0, the rest fractions."""
    return rng.binomial(3, 0.15, size=n) / rng.integers(3, 9, size=n)


class TestAgainstScipy:
    @pytest.mark.parametrize("n", [2, 3, 10, 500])
    def test_paired_t(self, n):
        rng = np.random.default_rng(n)
        one, other = recall_like(rng, n) + rng.normal(size=n), recall_like(rng, n)
        assert paired_t(one - other) == pytest.approx(stats.ttest_rel(one, other).pvalue, rel=1e-9)

    def test_interval(self):
        values = np.random.default_rng(0).normal(0.2, 0.1, size=7)
        found = interval(values)
        expected = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
        assert (found.low, found.high) == pytest.approx(expected)
        assert found.half == pytest.approx((expected[1] - expected[0]) / 2)

    @pytest.mark.parametrize("n", [2, 3, 5, 8, 12])
    def test_every_pattern_of_signs(self, n):
        rng = np.random.default_rng(n)
        differences = np.round(rng.normal(0.5, 1, size=n), 1)  # ties too
        expected = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert sign_flips(differences, rng=rng) == pytest.approx(expected.pvalue, rel=1e-12)

    def test_drawn_patterns_of_signs(self):
        rng = np.random.default_rng(3)
        differences = recall_like(rng, 400) - recall_like(rng, 400) + 0.01
        expected = stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=20_000, vectorized=False, rng=rng
        )
        assert sign_flips(differences, rng=rng) == pytest.approx(expected.pvalue, abs=0.02)
        assert sign_flips(differences, rng=rng) == pytest.approx(paired_t(differences), abs=0.02)

    def test_holm(self):
        p = np.array([0.01, 0.02, 0.03, 0.9, 0.005])
        # by hand: .005 x 5, .01 x 4, .02 x 3, .03 x 2 (no less than the one before), .9
        assert holm(p) == pytest.approx([0.04, 0.06, 0.06, 0.9, 0.025])
        assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]
        assert holm(np.array([np.nan, 0.02])).tolist()[1] == 0.02

    def test_over_both_is_welch_on_two_sources(self):
        # a mean of user means less a mean of seed means has the variance that Welch's test is for; here it is the
        # largest p of the three
        rng = np.random.default_rng(5)
        seeds, users = rng.normal(0, 1, size=4), rng.normal(0, 3, size=9)
        differences = (seeds - seeds.mean())[:, None] + (users - users.mean())[None, :] + 0.7
        found = compare_pair(differences, np.zeros_like(differences), rng=rng)
        expected = stats.ttest_ind(seeds - seeds.mean() + 0.7, users - users.mean(), equal_var=False)
        assert found.p == pytest.approx(expected.pvalue)
        low, high = expected.confidence_interval(0.95)
        assert (found.difference.low, found.difference.high) == pytest.approx((low, high))


class TestEdges:
    def test_no_difference_at_all(self):
        same = np.random.default_rng(0).random((3, 20))
        found = compare_pair(same, same.copy(), rng=np.random.default_rng(0))
        assert (found.p, found.p_users, found.p_seeds, found.p_flips) == (1, 1, 1, 1)
        assert (found.difference.mean, found.wins, found.losses) == (0, 0, 0)

    def test_the_same_difference_everywhere(self):
        zero = np.zeros((3, 20))
        found = compare_pair(zero + 0.5, zero, rng=np.random.default_rng(0))
        assert (found.p, found.p_users, found.p_seeds) == (0, 0, 0)
        assert found.p_flips == pytest.approx(1 / 10_001)
        assert (found.wins, found.losses) == (1, 0)

    def test_one_seed_leaves_users(self):
        rng = np.random.default_rng(1)
        one, other = rng.random((1, 50)), rng.random((1, 50))
        found = compare_pair(one, other, rng=rng)
        assert found.p == found.p_users == pytest.approx(stats.ttest_rel(one[0], other[0]).pvalue)
        assert np.isnan(found.p_seeds)

    def test_shapes_differ(self):
        with pytest.raises(ArgumentError, match=r"second must have the shape of first, \(2, 3\)"):
            compare_pair(np.zeros((2, 3)), np.zeros((2, 4)), rng=np.random.default_rng(0))

    def test_hands_back_what_was_worse_as_losses(self):
        one = np.array([[0.0, 0.0, 1.0, 0.5]])
        other = np.array([[1.0, 1.0, 0.0, 0.5]])
        found = compare_pair(one, other, rng=np.random.default_rng(0))
        assert (found.wins, found.losses, found.difference.mean) == (0.25, 0.5, -0.25)


def trained(rng, *, quality=0.0, seeds=5, users=300, per_seed=0.004, per_pair=0.1):
    """Return (S, U): what a user is like, how a training went, and how it went for this user."""
    taste = np.random.default_rng(0).beta(1, 5, size=users)
    return taste + quality + rng.normal(0, per_seed, (seeds, 1)) + rng.normal(0, per_pair, (seeds, users))


class TestAMethodAgainstItself:
    def count(self, find, **like):
        rng = np.random.default_rng(11)
        return sum(find(trained(rng, **like), trained(rng, **like), rng) for _ in range(REPETITIONS))

    def test_over_both(self):
        def find(one, other, rng):
            return compare_pair(one, other, rng=rng, draws=0).p < LEVEL

        for seeds, per_seed, per_pair in ((5, 0.004, 0.1), (5, 0.05, 0.1), (5, 0.0, 0.3), (2, 0.05, 0.1)):
            assert self.count(find, seeds=seeds, per_seed=per_seed, per_pair=per_pair) <= MOST

    def test_over_seeds(self):
        assert self.count(lambda one, other, _: paired_t(one.mean(1) - other.mean(1)) < LEVEL) <= MOST

    def test_over_users(self):
        # of one pair of trainings that went alike; where they did not, one of the two models is better
        def t(one, other, _):
            return paired_t(one.mean(0) - other.mean(0)) < LEVEL

        def flips(one, other, rng):
            return sign_flips(one.mean(0) - other.mean(0), rng=rng, draws=500) < LEVEL

        assert self.count(t, per_seed=0.0) <= MOST
        assert self.count(flips, per_seed=0.0, seeds=1, users=60) <= MOST
        assert self.count(t, per_seed=0.05) > 2 * MOST

    def test_several_at_once(self):
        rng, any_found = np.random.default_rng(2), 0
        for _ in range(REPETITIONS):
            methods = [trained(rng, users=100) for _ in range(4)]
            p = [compare_pair(a, b, rng=rng, draws=0).p for i, a in enumerate(methods) for b in methods[:i]]
            any_found += (holm(np.array(p)) < LEVEL).any()
        assert any_found <= MOST

    def test_what_is_better_is_found(self):
        rng = np.random.default_rng(4)
        found = sum(
            compare_pair(trained(rng, quality=0.02), trained(rng), rng=rng, draws=0).p < LEVEL
            for _ in range(REPETITIONS)
        )
        assert found > 0.8 * REPETITIONS


@pytest.mark.parametrize("module", [analysis, significance], ids=lambda module: module.__name__)
def test_examples(module):
    assert doctest.testmod(module).attempted > 0
    assert doctest.testmod(module).failed == 0
