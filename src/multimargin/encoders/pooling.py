"""What SimpleX does with a history, by itself: so that a user who was not in training gets a vector."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin.encoders.fold_in import Array, FoldIn


@dataclass(frozen=True, eq=False)
class Pooling(FoldIn):
    """A user's vector from their items: gamma e + (1 - gamma) V (weighted sum of the items' vectors in histories).

    In place of a vector e of their own, which only training gives, a new user has the mean direction of their items, at
    the median length of the vectors e of the users in training.

    Args:
        held: (I, D) the items' vectors in histories.
        value: V, (D, D).
        key: K, (D, D); (0, 0): weights are equal.
        key_bias: b, (D,) or (0,).
        query: (1, D) that of all users; (0, 0): e.
        gamma: share of e.
        length: of e.
    """

    kind = "pooling"

    held: Array
    value: Array
    key: Array
    key_bias: Array
    query: Array
    gamma: float
    length: float

    def vector(self, items: NDArray[np.integer[Any]], vectors: Array) -> Array:
        """Return (D,) for a user who touched ``items``, one or more; a repeated item counts that often."""
        own = self.length * mean_direction(vectors)
        held = self.held[items].astype(np.float64)  # (n, D)
        weights = np.full(len(items), 1 / len(items))
        if len(self.key):
            scores = np.tanh(held @ self.key.T + self.key_bias) @ (self.query[0] if len(self.query) else own)
            weights = np.exp(scores - scores.max())
            weights /= weights.sum()
        found: Array = (self.gamma * own + (1 - self.gamma) * self.value @ (weights @ held)).astype(np.float32)
        return found


def mean_direction(vectors: Array) -> NDArray[np.float64]:
    """Return the direction (D,) of the mean of ``vectors``' directions; 0 where that is 0."""
    wide = vectors.astype(np.float64)
    mean = (wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)).mean(0)
    found: NDArray[np.float64] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return found
