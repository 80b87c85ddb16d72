"""The contract of a negative sampler: users in, item indices out; it holds data, never randomness."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions
from multimargin.rng import CounterRng


@dataclass(frozen=True)
class Negatives:
    """What a sampler draws.

    Args:
        index: (B, N) int64 item indices, each row its own; or (N,), one set shared by the batch.
        log_q: log-probability of each draw, the shape of ``index``; None for a uniform law, where it is a constant.
        mask: true where the draw counts as a negative, (B, N); None: all count.
    """

    index: NDArray[np.int64]
    log_q: NDArray[np.float32] | None = None
    mask: NDArray[np.bool_] | None = None


class NegativeSampler(ABC):
    """Base of all negative samplers.

    ``needs`` names what beyond users and positives the sampler looks at: "scores", "vectors".
    ``draws`` says that something is drawn, N times for each row; else neither N nor the randomness plays a part.
    ``by_user`` asks for batches of whole users.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    draws: ClassVar[bool] = True
    by_user: ClassVar[bool] = False

    @abstractmethod
    def build(self, train: Interactions) -> None:
        """Take what the law depends on (catalogue size, seen items, counts) from the training data; called once."""

    @abstractmethod
    def sample(self, users: NDArray[np.int64], positives: NDArray[np.int64], n: int, *, rng: CounterRng) -> Negatives:
        """Draw ``n`` negatives for each row of a batch.

        Args:
            users: (B,) int64 user indices.
            positives: (B,) int64 item indices.
            n: N, negatives per row, 1 or more.
            rng: stream and place of the batch; the same place gives the same draw.

        Raises:
            NoNegativesError: a user has nothing left to draw.
        """

    @abstractmethod
    def probabilities(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the declared law, (B, I): the probability that one draw for each user is each item."""
