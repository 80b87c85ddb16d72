"""What SimpleX does with a history, by itself: so that a user who was not in training gets a vector."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Pooling:
    """A user's vector from their items: gamma e + (1 - gamma) V (weighted sum of the items' vectors in histories).

    In place of a vector e of their own, which only training gives, a new user has the mean direction of their items, at
    the median length of the vectors e of the users in training.

    Args:
        directions: (I, D) item vectors of length 1.
        held: (I, D) the items' vectors in histories.
        value: V, (D, D).
        key: K, (D, D); (0, 0): weights are equal.
        key_bias: b, (D,) or (0,).
        query: (1, D) that of all users; (0, 0): e.
        gamma: share of e.
        length: of e.
    """

    directions: Array
    held: Array
    value: Array
    key: Array
    key_bias: Array
    query: Array
    gamma: float
    length: float

    def vector(self, items: NDArray[np.integer[Any]]) -> Array:
        """Return (D,) for a user who touched ``items``, one or more; a repeated item counts that often."""
        mean = self.directions[items].mean(0, dtype=np.float64)
        own = self.length * mean / max(float(np.linalg.norm(mean)), 1e-12)
        held = self.held[items].astype(np.float64)  # (n, D)
        weights = np.full(len(items), 1 / len(items))
        if len(self.key):
            scores = np.tanh(held @ self.key.T + self.key_bias) @ (self.query[0] if len(self.query) else own)
            weights = np.exp(scores - scores.max())
            weights /= weights.sum()
        found: Array = (self.gamma * own + (1 - self.gamma) * self.value @ (weights @ held)).astype(np.float32)
        return found

    def arrays(self) -> dict[str, Array]:
        """Return what a saved model must hold."""
        return {name: each for name, each in vars(self).items() if isinstance(each, np.ndarray)}

    def settings(self) -> dict[str, float]:
        """Return what else it must, as JSON."""
        return {"gamma": self.gamma, "length": self.length}

    @classmethod
    def restore(cls, arrays: Mapping[str, Any], settings: Mapping[str, Any]) -> "Pooling":
        """Build from ``arrays()`` and ``settings()``, among others."""
        names = ("directions", "held", "value", "key", "key_bias", "query")
        return cls(**{name: arrays[name] for name in names}, gamma=settings["gamma"], length=settings["length"])
