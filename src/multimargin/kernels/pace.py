"""How many threads pay off right now: where others use the cores too, waiting at barriers costs more than it buys."""

_PATIENCE = 25.0  # the slower choice is tried again once that many times its last cost has gone by


class Pace:
    """Chooses between one thread and all of them, piece of work by piece of work, by how fast the last pieces went.

    Safe where results do not depend on the number of threads, as in all kernels here.

    Args:
        threads: the most to use, 1 or more.
    """

    def __init__(self, threads: int):
        self.threads = threads
        self._last: dict[int, tuple[float, float]] = {}  # threads -> (seconds per unit, seconds) of its last piece
        self._spent = 0.0  # seconds since the slower choice was tried

    def choose(self) -> int:
        """Return the number of threads for the next piece."""
        for untried in (self.threads, 1):
            if untried not in self._last:
                return untried
        faster, slower = (1, self.threads) if self._last[1] < self._last[self.threads] else (self.threads, 1)
        return slower if self._spent > _PATIENCE * self._last[slower][1] else faster

    def record(self, threads: int, units: int, seconds: float) -> None:
        """Note that a piece of ``units`` took ``seconds`` with ``threads``."""
        other = 1 if threads == self.threads else self.threads
        slower = other in self._last and self._last[other][0] < seconds / units
        self._spent = 0.0 if slower else self._spent + seconds
        self._last[threads] = (seconds / units, seconds)
