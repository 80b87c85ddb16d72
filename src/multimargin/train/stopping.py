"""When to stop, and when to lower the learning rate: by one metric, of which more is better, or as epochs go by."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from multimargin import checks

# what the learning rate is multiplied by, from the share of the epochs that is over: from 1 down to 0
DECAYS: dict[str, Callable[[float], float]] = {
    "cosine": lambda over: (1 + math.cos(math.pi * over)) / 2,  # Loshchilov, Hutter 2017, arXiv 1608.03983, no restarts
    "linear": lambda over: 1 - over,
}


@dataclass(frozen=True)
class EarlyStopping:
    """Stop after ``patience`` evaluations in a row that did not beat the best so far.

    Args:
        patience: evaluations without improvement that end training, 1 or more.
    """

    patience: int = 10

    def __post_init__(self) -> None:
        checks.positive_int("patience", self.patience)

    def stops(self, waited: int) -> bool:
        """Return whether ``waited`` evaluations without improvement are enough."""
        return waited >= self.patience


@dataclass(frozen=True)
class ReduceOnPlateau:
    """Multiply the learning rate by ``factor`` when the metric stops improving.

    Args:
        factor: in (0, 1).
        patience: evaluations in a row without improvement that trigger it, 1 or more. SimpleX's is 1.
        min_learning_rate: the rate is never lowered below it, above 0.
        restore_best: go back to the best epoch's weights (not the optimiser's moments) whenever the metric did not
            improve, as SimpleX does.
    """

    factor: float = 0.1
    patience: int = 1
    min_learning_rate: float = 1e-6
    restore_best: bool = True

    def __post_init__(self) -> None:
        if not 0 < checks.finite("factor", self.factor) < 1:
            checks.fail("factor", "be above 0 and below 1", self.factor)
        checks.positive_int("patience", self.patience)
        checks.positive("min_learning_rate", self.min_learning_rate)

    def triggers(self, waited: int) -> bool:
        """Return whether ``waited`` evaluations without improvement are a plateau, as are each ``patience`` more."""
        return waited > 0 and waited % self.patience == 0

    def reduce(self, learning_rate: float) -> float:
        """Return the next learning rate."""
        return max(learning_rate * self.factor, min(learning_rate, self.min_learning_rate))
