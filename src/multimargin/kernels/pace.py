"""How many threads pay off right now: where others use the cores too, waiting at barriers costs more than it buys."""

_PATIENCE = 25.0  # the slower choice is tried again once that many times the cost of a trial has gone by
_SHORT = 8  # a trial is that many times shorter than an ordinary piece


class Pace:
    """Chooses between one thread and all of them, piece of work by piece of work, by how fast the last pieces went.

    Safe where results do not depend on the number of threads, as in all kernels here.

    Args:
        threads: the most to use, 1 or more.
    """

    def __init__(self, threads: int):
        self.threads = threads
        self._rate: dict[int, float] = {}  # threads -> seconds per unit of its last piece
        self._fewest = 0  # units of the shortest piece: about those of a trial
        self._spent = 0.0  # seconds since the slower choice was tried
        self._awake = 1  # threads of the last piece
        self._again = False  # its threads had to wake up first, which says little about their speed

    def choose(self, steps: int) -> tuple[int, int]:
        """Return the number of threads for the next piece, and how many of at most ``steps`` steps to take."""
        trial = max(1, steps // _SHORT)
        if self._again:
            return self._awake, trial
        for untried in (self.threads, 1):
            if untried not in self._rate:
                return untried, trial
        faster, slower = (1, self.threads) if self._rate[1] < self._rate[self.threads] else (self.threads, 1)
        if self._spent > _PATIENCE * self._rate[slower] * self._fewest:
            return slower, trial
        return faster, steps

    def record(self, threads: int, units: int, seconds: float) -> None:
        """Note that a piece of ``units`` took ``seconds`` with ``threads``."""
        self._again, self._awake = threads > self._awake, threads
        if self._again:
            self._spent += seconds
            return
        other = 1 if threads == self.threads else self.threads
        slower = other in self._rate and self._rate[other] < seconds / units
        self._spent = 0.0 if slower else self._spent + seconds
        self._rate[threads] = seconds / units
        self._fewest = min(self._fewest or units, units)
