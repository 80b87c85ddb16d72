r"""Is a difference more than luck? Paired tests over users, over seeds, and over both at once.

Two methods are measured on the same users, each trained with the same seeds :math:`s \le S`; :math:`d_{su}` is their
difference for user u and seed s, :math:`\bar d` its mean. Luck has two sources. *Which users* were asked: the spread of
:math:`\bar d_u = \tfrac1S \sum_s d_{su}` between users. *Which seeds* were trained with: the spread of
:math:`\bar d_s = \tfrac1U \sum_u d_{su}` between seeds.

- Over users, or over seeds: the paired t-test, :math:`t = \bar d / \sqrt{V}` with :math:`V` the sample variance of the
  :math:`\bar d_u` over U, or of the :math:`\bar d_s` over S.
- Over users also the sign-flip test: under the hypothesis each :math:`\bar d_u` could as well have had the other sign,
  so p is the share of sign patterns with a sum at least as far from 0. It assumes no law, only symmetry.
- Over both: :math:`t = \bar d / \sqrt{V_u + V_s}` with Satterthwaite's degrees of freedom; p is the largest of this
  one, the one over users and the one over seeds. What users and seeds share of the variance is counted twice, which
  errs on the side of finding nothing. The largest, because with two or three seeds :math:`V_s` is small by chance now
  and then: alone, the first was wrong in 11 % of draws where seeds were all the luck.

A test over users alone compares *trained models*: the same method trained twice gives two models, of which one is
better. A claim about *methods* needs seeds, so ``both`` decides.

Wilcoxon's signed ranks are not used: most users' differences are exactly 0 or large, and ranks test neither the mean
nor, with skewed differences, the median.

Source: the t-test and sign flips for paired effectiveness scores: Smucker, Allan, Carterette, CIKM 2007; Urbano, Lima,
    Hanjalic, SIGIR 2019. Holm, Scandinavian Journal of Statistics 6 (1979). Satterthwaite, Biometrics 2 (1946).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin import checks

LEVEL = 0.05
"""Two methods differ where the corrected p is below it; intervals hold one minus it."""

FLIPS = 10_000
"""Patterns of signs that are drawn where there are too many to try each."""

_AT_A_TIME = 2**21  # signs held at a time
_MOST = 2e9  # signs drawn at most; fewer patterns, but never below 1,000, for millions of users

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that holds the true one with a probability of 95 %.

    Args:
        mean: of the values.
        low: lower end; nan where there are fewer than two values.
        high: upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class PairedTest:
    """How two methods differ in one metric, first less second.

    Args:
        difference: the mean, with the widest of the intervals over users, over seeds and over both, so that it holds 0
            where ``p`` is above the level; with one seed that over users.
        p_users: of the paired t-test over users.
        p_flips: of the sign-flip test over users; nan where it was not made.
        p_seeds: of the paired t-test over seeds; nan with fewer than two.
        p: over both; with one seed, ``p_users``.
        wins: share of users for whom the first is better.
        losses: share of users for whom the second is.
    """

    difference: Interval
    p_users: float
    p_flips: float
    p_seeds: float
    p: float
    wins: float
    losses: float


def interval(values: NDArray[np.floating[Any]]) -> Interval:
    """Return the mean of ``values`` and its t-interval.

    Example:
        >>> found = interval(np.array([1.0, 2.0, 3.0]))
        >>> round(found.low, 4), found.mean, round(found.high, 4)
        (-0.4841, 2.0, 4.4841)
    """
    mean, variance = float(values.mean()), _variance_of_mean(values)
    return _interval(mean, variance, len(values) - 1)


def compare_pair(first: Values, second: Values, *, rng: np.random.Generator, draws: int = FLIPS) -> PairedTest:
    """Compare two methods.

    Args:
        first: (S, U) metric of the one, per seed and user.
        second: (S, U) of the other, for the same seeds and users.
        rng: draws signs.
        draws: of the sign-flip test; 0: it is not made.
    """
    if first.shape != second.shape or first.ndim != 2:
        checks.fail("second", f"have the shape of first, {first.shape}", second.shape)
    differences = first - second  # (S, U)
    of_users, of_seeds = differences.mean(0), differences.mean(1)
    mean = float(differences.mean())
    users = _variance_of_mean(of_users), float(len(of_users) - 1)  # with its degrees of freedom
    seeds = _variance_of_mean(of_seeds), float(len(of_seeds) - 1)
    luck = [users] if len(of_seeds) < 2 else [users, seeds, _together(users, seeds)]
    return PairedTest(
        difference=max((_interval(mean, *each) for each in luck), key=lambda found: found.half),
        p_users=_p(mean, *users),
        p_flips=sign_flips(of_users, rng=rng, draws=draws) if draws else float("nan"),
        p_seeds=_p(mean, *seeds),
        p=max(_p(mean, *each) for each in luck),
        wins=float((of_users > 0).mean()),
        losses=float((of_users < 0).mean()),
    )


def paired_t(differences: NDArray[np.floating[Any]]) -> float:
    """Return the two-sided p of the paired t-test; 1 where all differences are 0, nan for fewer than two.

    Example:
        >>> round(paired_t(np.array([1.0, 2.0, 3.0])), 4)
        0.0742
    """
    return _p(float(differences.mean()), _variance_of_mean(differences), len(differences) - 1)


def sign_flips(differences: NDArray[np.floating[Any]], *, rng: np.random.Generator, draws: int = FLIPS) -> float:
    """Return the two-sided p of the sign-flip test on the mean.

    Args:
        differences: (n,); those that are 0 change nothing.
        rng: draws patterns where there are more than ``draws``; otherwise each is tried once, and p is exact.
        draws: patterns, 1 or more. The one that was observed counts as one more, so p is never 0.

    Example:
        >>> sign_flips(np.array([1.0, 2.0, 3.0]), rng=np.random.default_rng(0))
        0.25
    """
    draws = checks.positive_int("draws", draws)
    left = differences[differences != 0].astype(np.float64)
    n = len(left)
    scale = np.abs(left).sum()
    observed = abs(left.sum()) - 1e-12 * scale  # sums of the same numbers in another order are the same
    if n < 63 and 2**n <= draws:
        patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return float((np.abs((2.0 * patterns - 1) @ left) >= observed).mean())
    draws = max(min(draws, int(_MOST / n)), min(draws, 1000))
    as_far = 0
    for start in range(0, draws, rows := max(1, _AT_A_TIME // n)):
        size = min(rows, draws - start)
        bits = np.unpackbits(rng.integers(0, 256, size=(size, -(-n // 8)), dtype=np.uint8), axis=1, count=n)
        sums = 2 * (bits @ left) - left.sum()  # a sign is 2 bit - 1
        as_far += int((np.abs(sums) >= observed).sum())
    return (as_far + 1) / (draws + 1)


def holm(p: NDArray[np.floating[Any]]) -> Values:
    """Return Holm's corrected p of several tests: compared with a level, the chance of any false find is below it.

    Args:
        p: (m,); nan, a test that cannot be made, stays nan and counts for nothing.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.06, 0.06]
    """
    corrected = np.full(len(p), np.nan)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    steps = np.arange(len(order), 0, -1)  # the smallest is multiplied by m, the next by m - 1, ...
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * steps), 1.0)
    return corrected


def _variance_of_mean(values: NDArray[np.floating[Any]]) -> float:
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else float("nan")


def _together(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Return the variance of a sum and Satterthwaite's degrees of freedom for it."""
    variance = one[0] + other[0]
    if variance == 0:
        return 0.0, one[1] + other[1]
    return variance, variance**2 / (one[0] ** 2 / one[1] + other[0] ** 2 / other[1])


def _p(mean: float, variance: float, freedom: float) -> float:
    from scipy.special import stdtr

    if np.isnan(variance):
        return float("nan")
    if variance == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(mean) / np.sqrt(variance)))


def _interval(mean: float, variance: float, freedom: float) -> Interval:
    from scipy.special import stdtrit

    if np.isnan(variance):
        return Interval(mean, float("nan"), float("nan"))
    half = float(stdtrit(freedom, 1 - LEVEL / 2) * np.sqrt(variance))
    return Interval(mean, mean - half, mean + half)
