"""How a model scored in the epochs before: its tables are kept, so that no list of pairs has to be."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from multimargin.kernels.sampled_scores import sampled_scores


class PastTables:
    """The tables of the latest epochs, the oldest first: (epochs, U, D) and (epochs, I, D) float32.

    Args:
        most: how many epochs are kept; SRNS is published with 5.
    """

    def __init__(self, most: int = 5):
        self.most = most
        self._tables: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []

    def keep(self, user_vectors: NDArray[np.float32], item_vectors: NDArray[np.float32]) -> None:
        """Keep the tables of one epoch more, as scored, and forget what is too old."""
        self._tables = [*self._tables, (user_vectors, item_vectors)][-self.most :]

    def spread(
        self, users: NDArray[np.int64], positives: NDArray[np.int64], index: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return (B, C): over the epochs, the standard deviation of sigmoid(score of ``index`` - of the positive)."""
        u, i, j = (torch.from_numpy(np.array(each)) for each in (users, positives, index))
        total, squares = np.zeros(index.shape), np.zeros(index.shape)
        first = None
        for user_table, item_table in self._tables:
            own, others = sampled_scores(
                torch.from_numpy(user_table), torch.from_numpy(item_table), u, i, j, similarity="dot"
            )
            near = expit((others - own[:, None]).numpy().astype(np.float64))
            first = near if first is None else first
            total += near - first  # from the first, so that nothing is lost where little moves
            squares += (near - first) ** 2
        count = max(len(self._tables), 1)
        result: NDArray[np.float64] = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0.0))
        return result

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what is kept, if there is any."""
        names = ("past_users", "past_items")
        return {name: np.stack(each) for name, each in zip(names, zip(*self._tables, strict=True), strict=False)}

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Take it back."""
        self._tables = list(zip(state["past_users"], state["past_items"], strict=True)) if "past_users" in state else []
