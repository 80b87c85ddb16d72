r"""How far an idle row drifts: the scalars that let Adam leave untouched rows alone and still agree with dense Adam.

Derivation. A row last touched at step t holds the moments m, v of that step. Dense Adam keeps moving it: idle step
s = t + j decays the moments to m b1^j, v b2^j and moves the row by

    lr_s / (1 - b1^s) * m b1^j / (sqrt(v b2^j) / sqrt(1 - b2^s) + eps)
  = lr_s * r^j * f(s) * m / (sqrt(v) + e_j)          r = b1 / sqrt(b2),  f(s) = sqrt(1 - b2^s) / (1 - b1^s),
                                                     e_j = eps * sqrt(1 - b2^s) / sqrt(b2)^j.

Only e_j ties the idle step to the element, and it varies slowly where r^j matters, so its r^j f(s)-weighted mean E(t)
stands for it (relative error of the drift: at most about eps / |gradient|, so 1e-8 for a gradient of 1). All idle steps
together are then

    direction * (sum over j of lr_s r^j f(s)),       direction = m / (sqrt(v) + E(t))   fixed when the row was touched,

a scalar that depends on t and now only. With R_T[k] the sum for a row idle since T - k,

    R_T[k] = R_{T-1}[k-1] + r^k lr_T f(T),

one shifted addition per step. Beyond ``horizon`` steps r^k is below 1e-10 and the sum no longer changes: ``tail`` keeps
its last value for each t. A learning rate that changes between steps is exact too, since lr_s is inside the sum.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEVER = -1  # the ``last`` of a row that has had no gradient yet
_GROUP = 64  # b^k = b^(k mod _GROUP) * b^(_GROUP (k div _GROUP)), from two short tables


class Steps(NamedTuple):
    """The constants of several steps, for a kernel that takes them in one call (see ``Schedule.advance``)."""

    before: int  # steps taken before the first of them
    rate: NDArray[np.float64]
    eps_now: NDArray[np.float64]
    eps_idle: NDArray[np.float64]


class Schedule:
    """The drift sums of one optimiser, from its last ``settle`` on.

    Args:
        betas: decay of the first and second moment; ``betas[0] < sqrt(betas[1])``.
        eps: Adam's epsilon.
        step: T, steps already taken.
    """

    def __init__(self, betas: tuple[float, float], eps: float, step: int = 0):
        self.beta1, self.beta2 = betas
        self.eps = eps
        ratio = self.beta1 / math.sqrt(self.beta2)
        self.horizon = 1 if ratio == 0 else math.ceil(math.log(1e-10) / math.log(ratio))
        k = np.arange(self.horizon + 1, dtype=np.float64)
        self.power = ratio**k  # (horizon+1,) r^k
        self._weights = np.append(0.0, self.power[1:])  # (horizon+1,) of the idle steps
        self._roots = np.sqrt(self.beta2**k)  # (horizon+1,)
        self.decay_low = np.array([beta ** np.arange(_GROUP, dtype=np.float64) for beta in betas])  # (2, _GROUP)
        self.settle(step)

    def settle(self, step: int) -> None:
        """Start afresh at ``step``: every row has been brought there."""
        self.step = self.base = step
        self.drift = np.zeros(self.horizon + 1)  # R_T
        self.tail = np.zeros(1024)  # tail[t - base]
        self.decay_high = np.empty((2, 0))
        self._reserve()

    def advance(self, learning_rate: float) -> tuple[float, float, float]:
        """Take step T = ``step`` + 1 and return what a touched row needs for it.

        Returns:
            ``rate`` = lr f(T), ``eps_now`` = eps sqrt(1 - b2^T), ``eps_idle`` = E(T); a touched row moves by
            ``rate * m / (sqrt(v) + eps_now)`` and then has ``direction = m / (sqrt(v) + eps_idle)``.
        """
        (rate,), (eps_now,), (eps_idle,) = self.advance_many(1, learning_rate)[1:]
        self.drift[1:] = self.drift[:-1] + self.power[1:] * rate
        place = self.step - self.horizon - self.base
        if place >= 0:
            self.tail[place] = self.drift[-1]
        return float(rate), float(eps_now), float(eps_idle)

    def advance_many(self, count: int, learning_rate: float) -> Steps:
        """Return the constants of the next ``count`` steps; the caller updates ``drift`` and ``tail``."""
        before = self.step
        self.step += count
        self._reserve()
        return Steps(before, *self.constants(np.arange(before + 1, self.step + 1), learning_rate))

    def constants(self, steps: NDArray[np.int64], learning_rate: float) -> tuple[NDArray[np.float64], ...]:
        """Return ``rate``, ``eps_now`` and ``eps_idle`` of each of ``steps``, consecutive ones (see ``advance``)."""
        all_steps = steps[0] + np.arange(len(steps) + self.horizon)  # and those for which rows may be idle afterwards
        later = np.sqrt(1 - self.beta2**all_steps)  # sqrt(1 - b2^s)
        f = later / (1 - self.beta1**all_steps)
        total = np.correlate(f, self._weights)  # sums over j from 1 to horizon
        idle = np.correlate(f * later, self._weights / self._roots)
        idle = np.divide(idle, total, out=np.ones_like(total), where=total > 0)
        return learning_rate * f[: len(steps)], self.eps * later[: len(steps)], self.eps * idle

    def drift_ahead(self, learning_rate: float) -> float:
        """Return a bound on what an idle row can drift from the next step on, at most at ``learning_rate``.

        f falls at first, if at all, and then rises to 1; so the next one or 1 is the largest.
        """
        largest = max(1.0, float(self.constants(np.array([self.step + 1]), 1.0)[0][0]))
        return learning_rate * largest * float(self.power[1:].sum())

    def _reserve(self) -> None:
        """Make ``tail`` and ``decay_high`` long enough for the steps up to ``step``."""
        if self.step - self.horizon - self.base >= len(self.tail):
            self.tail = np.concatenate((self.tail, np.zeros(self.step - self.base)))
        if (self.step - self.base) // _GROUP >= self.decay_high.shape[1]:
            k = _GROUP * np.arange(2 * ((self.step - self.base) // _GROUP + 1), dtype=np.float64)
            self.decay_high = np.array([self.beta1**k, self.beta2**k])

    def idle_drift(self, last: int) -> float:
        """Return the drift sum of a row touched at step ``last`` and idle since."""
        idle = self.step - last
        return float(self.drift[idle] if idle <= self.horizon else self.tail[last - self.base])
