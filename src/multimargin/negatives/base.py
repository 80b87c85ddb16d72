"""The contract of a negative sampler: users in, item indices out; it holds data, never randomness."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions
from multimargin.ranges import AnyRange, searched
from multimargin.rng import CounterRng

NEEDS = frozenset({"scores", "tables"})


class Scorer(Protocol):
    """What a sampler that needs "scores" is handed: the model as it is at this step, without dropout or gradient."""

    def __call__(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (B, C) scores of users (B,) with items (B, C), each row its own, or (C,), the same for all."""


@dataclass(frozen=True)
class Blend:
    r"""Synthetic negatives: mixes of the positive and the drawn items, as scores.

    .. math:: s_n = \sum_{k} w_{nk} \, s_{c_{nk}}

    A score is linear in the item's vector, so this is, to rounding and with gradients to all of them, the score of the
    mixed vector, and none is made. For the cosine, vectors of length 1 are mixed and the mix is not normalised again.

    Args:
        columns: (B, N, K) int64, what is mixed into each of the N negatives: 0 the row's positive, c > 0 the item in
            column c - 1 of ``Negatives.index``.
        weights: (B, N, K) float32 share of each; where they sum to 1, the mix lies on the line or plane through them.
    """

    columns: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Negatives:
    """What a sampler draws.

    Args:
        index: (B, N) int64 item indices, each row its own; or (N,), one set shared by the batch.
        log_q: log-probability of each draw, the shape of ``index``; None for a uniform law, where it is a constant.
        mask: true where the draw counts as a negative, (B, N); None: all count.
        blend: the negatives are mixes of what was drawn; its N is that of ``log_q`` and ``mask`` then.
    """

    index: NDArray[np.int64]
    log_q: NDArray[np.float32] | None = None
    mask: NDArray[np.bool_] | None = None
    blend: Blend | None = None


class NegativeSampler(ABC):
    """Base of all negative samplers.

    Attributes:
        needs: what beyond users and positives the sampler looks at; names of ``NEEDS``. "scores": ``sample`` and
            ``probabilities`` are handed a keyword ``scorer``; "tables": ``start_epoch`` is handed all vectors.
        draws: something is drawn, N times for each row; else neither N nor the randomness plays a part.
        by_user: batches are to hold whole users.
        shared: ``index`` is (N,), one set for the batch.
        blends: negatives are mixes (``Negatives.blend``), so that there are no indices of theirs.
        remembers: what was drawn before plays a part; ``state`` holds it.
        law_is_limit: draws come from a pool, and ``probabilities`` is what their law tends to as the pool grows.
        ranges: which parameters of the constructor a search varies, and where.
    """

    needs: frozenset[str] = frozenset()
    draws: bool = True
    by_user: bool = False
    shared: bool = False
    blends: bool = False
    remembers: bool = False
    law_is_limit: bool = False
    ranges: ClassVar[Mapping[str, AnyRange]] = searched()

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

        A sampler that needs "scores" has a further keyword ``scorer``, None by default, for a ``Scorer``.

        Raises:
            NoNegativesError: a user has nothing left to draw.
        """

    @abstractmethod
    def probabilities(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the declared law, (B, I): the probability that one draw for each user is each item.

        A sampler that needs "scores" has the keyword ``scorer`` here, too, and one whose law depends on the positive
        the keyword ``positives`` (B,).
        """

    def chances(
        self,
        users: NDArray[np.int64],  # noqa: ARG002 - for those who know
        index: NDArray[np.int64],  # noqa: ARG002
    ) -> NDArray[np.float64] | None:
        """Return the probability, (B, N), that one draw for each of ``users`` is each of ``index``; None: not told."""
        return None

    def start_epoch(  # noqa: B027 - most have nothing to do
        self,
        epoch: int,
        *,
        rng: CounterRng,
        user_vectors: NDArray[np.float32] | None = None,
        item_vectors: NDArray[np.float32] | None = None,
    ) -> None:
        """Do what is due before ``epoch`` (from 0).

        Args:
            epoch: which.
            rng: a stream of its own, at place ``epoch``.
            user_vectors: (U, D) as scored (of length 1 for the cosine), for a sampler that needs "tables".
            item_vectors: (I, D), likewise.
        """

    def state(self) -> Mapping[str, NDArray[Any]]:
        """Return what must survive an interruption, by name; it goes into checkpoints."""
        return {}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:  # noqa: B027 - most remember nothing
        """Take back what ``state`` gave, after ``build``."""
