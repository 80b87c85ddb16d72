"""The contract of a scorer: whatever ranks items for users, known by their index or new with a history."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.recommend.top_k import SeenItems

Lists = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Indices (n, k), padded with -1, and scores (n, k), padded with -inf; best first, ties by lower index."""


class Scorer(ABC):
    """Base of all scorers: what a ``Recommender`` asks, an ``Evaluator`` measures and a model's files hold.

    Args:
        n_users: U.
        n_items: I.
    """

    kind: ClassVar[str]
    """Its name in ``SCORERS`` and in a saved model."""

    def __init__(self, n_users: int, n_items: int):
        self.n_users, self.n_items = n_users, n_items

    @abstractmethod
    def among(self, items: NDArray[np.integer[Any]]) -> "Scorer":
        """Return a scorer that lists none but ``items``, increasing indices, and scores as this one does."""

    @abstractmethod
    def rank_users(
        self, users: NDArray[np.integer[Any]], k: int, *, seen: SeenItems | None = None, threads: int | None = None
    ) -> Lists:
        """Return the ``k`` best items of each of ``users``, (n,) indices, without those of ``seen``."""

    @abstractmethod
    def rank_history(self, items: NDArray[np.integer[Any]], k: int, *, seen: SeenItems | None = None) -> Lists:
        """Return the ``k`` best items of one user who touched ``items``, one or more, as (1, k)."""

    @abstractmethod
    def similar_items(self, items: NDArray[np.integer[Any]], k: int) -> Lists:
        """Return the ``k`` items most like each of ``items``, itself left out."""

    @abstractmethod
    def similar_users(self, users: NDArray[np.integer[Any]], k: int) -> Lists:
        """Return the ``k`` users most like each of ``users``, themselves left out."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a saved model must hold."""

    def settings(self) -> dict[str, Any]:
        """Return what else it must, as JSON."""
        return {}

    @classmethod
    @abstractmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> "Scorer":
        """Build from ``arrays()`` and ``settings()``."""

    def tables(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return user vectors (U, D) and item vectors (I, D).

        Raises:
            ArgumentError: there are none; scores come from histories.
        """
        self._no_vectors("vectors")

    def fold_in(self, items: NDArray[np.integer[Any]]) -> NDArray[np.float32]:  # noqa: ARG002
        """Return a vector (D,) for a user who touched ``items``, one or more.

        Raises:
            ArgumentError: there are no vectors.
        """
        self._no_vectors("fold_in")

    def _no_vectors(self, name: str) -> NoReturn:
        way_out = "Its lists need none: recommend, recommend_for, save."
        checks.fail(name, "come from a model with vectors; this one scores histories", self.kind, way_out)


def require_history(items: NDArray[np.integer[Any]]) -> None:
    """Raise ArgumentError if a history is empty."""
    if len(items) == 0:
        checks.fail("history", "hold at least one item", [], "Recommend popular items to a user without any.")


def themselves(index: NDArray[np.integer[Any]]) -> SeenItems:
    """Return what leaves each of ``index`` out of its own list."""
    return SeenItems(np.arange(len(index) + 1), index.astype(np.int32))
