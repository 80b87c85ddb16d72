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
        self._powers = self.beta1**k, self.beta2**k  # (horizon+1,) each
        self.settle(step)

    def settle(self, step: int) -> None:
        """Start afresh at ``step``: every row has been brought there."""
        self.step = self.base = step
        self.drift = np.zeros(self.horizon + 1)  # R_T
        self.tail = np.zeros(1024)  # tail[t - base]

    def advance(self, learning_rate: float) -> tuple[float, float, float]:
        """Take step T = ``step`` + 1 and return what a touched row needs for it.

        Returns:
            ``rate`` = lr f(T), ``eps_now`` = eps sqrt(1 - b2^T), ``eps_idle`` = E(T); a touched row moves by
            ``rate * m / (sqrt(v) + eps_now)`` and then has ``direction = m / (sqrt(v) + eps_idle)``.
        """
        self.step += 1
        rate, eps_now, eps_idle = self.constants(self.step, learning_rate)
        self.drift[1:] = self.drift[:-1] + self.power[1:] * rate
        place = self.step - self.horizon - self.base
        if place >= len(self.tail):
            self.tail = np.concatenate((self.tail, np.zeros_like(self.tail)))
        if place >= 0:
            self.tail[place] = self.drift[-1]
        return rate, eps_now, eps_idle

    def advance_many(self, count: int, learning_rate: float) -> Steps:
        """Return the constants of the next ``count`` steps; the caller updates ``drift`` and ``tail``."""
        before = self.step
        columns = np.array([self.constants(before + k, learning_rate) for k in range(1, count + 1)]).reshape(count, 3).T
        self.step += count
        missing = self.step - self.horizon - self.base + 1 - len(self.tail)
        if missing > 0:
            self.tail = np.concatenate((self.tail, np.zeros(max(missing, len(self.tail)))))
        return Steps(before, *(np.ascontiguousarray(column) for column in columns))

    def constants(self, step: int, learning_rate: float) -> tuple[float, float, float]:
        """Return ``rate``, ``eps_now`` and ``eps_idle`` of ``step`` (see ``advance``)."""
        powers1, powers2 = self._powers
        later = np.sqrt(1 - self.beta2**step * powers2)  # (horizon+1,) sqrt(1 - b2^(T+j))
        f = later / (1 - self.beta1**step * powers1)
        weights = self.power[1:] * f[1:]
        total = float(weights.sum())
        idle = self.eps * float(weights @ (later[1:] / np.sqrt(powers2[1:]))) / total if total > 0 else self.eps
        return learning_rate * float(f[0]), self.eps * float(later[0]), idle

    def idle_drift(self, last: int) -> float:
        """Return the drift sum of a row touched at step ``last`` and idle since."""
        idle = self.step - last
        return float(self.drift[idle] if idle <= self.horizon else self.tail[last - self.base])
