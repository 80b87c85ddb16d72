"""How many threads pay off right now: where others use the cores too, waiting at barriers can cost more than it buys."""

_PATIENCE = 25.0  # the slower choice is tried again once that many times its cost has gone by


class Pace:
    """Chooses between one thread and all of them, piece of work by piece of work, by how fast the last pieces went.

    Safe where results do not depend on the number of threads, as in all kernels here.

    Args:
        threads: the most to use, 1 or more.
    """

    def __init__(self, threads: int):
        self.threads = threads
        self._seconds_per_unit: dict[int, float] = {}
        self._cost_of_trial = 0.0
        self._since_trial = 0.0

    def choose(self) -> int:
        """Return the number of threads for the next piece."""
        for untried in (self.threads, 1):
            if untried not in self._seconds_per_unit:
                return untried
        if self.threads == 1:
            return 1
        faster, slower = sorted(self._seconds_per_unit, key=self._seconds_per_unit.__getitem__)
        if self._since_trial > _PATIENCE * self._cost_of_trial:
            return slower
        return faster

    def record(self, threads: int, units: int, seconds: float) -> None:
        """Note that a piece of ``units`` took ``seconds`` with ``threads``."""
        best = min(self._seconds_per_unit, key=self._seconds_per_unit.__getitem__, default=threads)
        if threads == best:
            self._since_trial += seconds
        else:
            self._cost_of_trial, self._since_trial = seconds, 0.0
        self._seconds_per_unit[threads] = seconds / units
