"""Scorers of histories: a user's scores follow from what they touched, so a new user is scored as a known one is."""

import copy
from abc import abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.kernels.history_scores import Weights, history_scores
from multimargin.kernels.threads import get_threads
from multimargin.recommend.best_scores import best_scores
from multimargin.recommend.scorer import Lists, Scorer, require_history, themselves
from multimargin.recommend.top_k import SeenItems, read_only

_BYTES = 2**24  # of scores that a thread holds at a time
_MOST = 256  # users at a time, so that threads share few of them evenly too


@dataclass(frozen=True, eq=False)
class Histories:
    """What each user touched, as compressed rows.

    Args:
        indptr: (n+1,) int64 bounds.
        indices: int32 item indices, increasing within a row.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]

    @classmethod
    def of(cls, interactions: Interactions) -> "Histories":
        """Return the rows of ``interactions``."""
        return cls(interactions.indptr, interactions.indices)

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def take(self, rows: NDArray[np.integer[Any]]) -> "Histories":
        """Return these rows, in this order."""
        counts = self.indptr[rows + 1] - self.indptr[rows]
        indptr = np.concatenate(([0], np.cumsum(counts)))
        places = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], counts)
        return Histories(indptr, self.indices[places])


class HistoryScorer(Scorer):
    """Base of scorers that make a dense block of scores from a block of histories.

    Args:
        histories: of the known users, as the scorer was made of them.
        n_items: I.
    """

    def __init__(self, histories: Histories, n_items: int):
        self.histories = histories
        self._listed = np.ones(n_items, dtype=np.bool_)
        super().__init__(len(histories), n_items)

    @abstractmethod
    def scores(self, histories: Histories) -> NDArray[np.float32]:
        """Return (n, I) finite scores, each row a function of its own history alone."""

    def likeness(self, items: Histories) -> NDArray[np.float32]:
        """Return (n, I) how much each of ``items``, histories of one, speaks for others; 0: nothing is known."""
        return self.scores(items)

    def among(self, items: NDArray[np.integer[Any]]) -> Self:
        """Return a scorer that lists none but ``items``."""
        made = copy.copy(self)
        made._listed = np.zeros(self.n_items, dtype=np.bool_)
        made._listed[items] = True
        return made

    def rank_users(
        self, users: NDArray[np.integer[Any]], k: int, *, seen: SeenItems | None = None, threads: int | None = None
    ) -> Lists:
        """Return the ``k`` best items of each user."""
        return rank_blocks(self.scores, self.histories.take(users), k, self._listed, seen=seen, threads=threads)

    def rank_history(self, items: NDArray[np.integer[Any]], k: int, *, seen: SeenItems | None = None) -> Lists:
        """Return the ``k`` best items of a user with this history; one in training with the same has the same list."""
        require_history(items)
        distinct = np.unique(items).astype(np.int32)
        history = Histories(np.array([0, len(distinct)], dtype=np.int64), distinct)
        return rank_blocks(self.scores, history, k, self._listed, seen=seen)

    def similar_items(self, items: NDArray[np.integer[Any]], k: int) -> Lists:
        """Return the ``k`` items that a history of this one alone speaks for most, none that it says nothing of."""
        alone = Histories(np.arange(len(items) + 1, dtype=np.int64), items.astype(np.int32))
        everything = np.ones(self.n_items, dtype=np.bool_)
        return rank_blocks(self.likeness, alone, k, everything, seen=themselves(items), zeros=False)

    def similar_users(self, users: NDArray[np.integer[Any]], k: int) -> Lists:
        """Return the ``k`` users whose histories have the highest cosine; those with nothing in common left out."""
        everybody = np.ones(self.n_users, dtype=np.bool_)
        lengths = np.sqrt(np.diff(self.histories.indptr)[users].astype(np.float64))

        def cosines(histories: Histories) -> NDArray[np.float32]:
            return history_scores(histories.indptr, histories.indices, self._users_of_items, self._nothing)

        index, score = rank_blocks(
            cosines, self.histories.take(users), k, everybody, seen=themselves(users), zeros=False
        )
        return index, score / np.maximum(lengths, 1)[:, None].astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the histories."""
        return {"history_indptr": self.histories.indptr, "history_indices": self.histories.indices}

    @cached_property
    def _users_of_items(self) -> Weights:
        """(I, U): for each user of an item 1 / sqrt(n_u)."""
        counts = np.diff(self.histories.indptr)
        values = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts).astype(np.float32)
        shape = self.n_users, self.n_items
        rows = scipy.sparse.csr_array((values, self.histories.indices, self.histories.indptr), shape=shape)
        return rows.T.tocsr()

    @cached_property
    def _nothing(self) -> NDArray[np.float32]:
        return np.zeros(self.n_users, dtype=np.float32)


class LinearScorer(HistoryScorer):
    r"""A user's scores are the sum of their items' rows of a matrix, and what everybody gets.

    .. math:: s_{uj} = \sum_{i \in H_u} W_{ij} + b_j

    Args:
        histories: of the known users.
        weights: W, (I, I) float32, a scipy CSR array or a matrix.
        bias: b, (I,) float32; None: 0.

    Raises:
        ArgumentError: a weight or a bias is not finite.
    """

    kind = "linear"

    def __init__(self, histories: Histories, weights: Weights, bias: NDArray[np.float32] | None = None):
        n_items = weights.shape[1]
        self.weights = weights
        self.bias = np.zeros(n_items, dtype=np.float32) if bias is None else np.ascontiguousarray(bias, np.float32)
        for name, values in (("weights", weights if _is_dense(weights) else weights.data), ("bias", self.bias)):
            largest = max(float(values.max(initial=0)), -float(values.min(initial=0)))
            if not np.isfinite(largest):
                checks.fail(name, "be finite", largest)
        super().__init__(histories, n_items)

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        """Return (n, I) scores."""
        return history_scores(histories.indptr, histories.indices, self.weights, self.bias)

    def likeness(self, items: Histories) -> NDArray[np.float32]:
        """Return rows of W.

        Raises:
            ArgumentError: there are no weights; everybody gets the same.
        """
        if not _is_dense(self.weights) and self.weights.nnz == 0:
            way_out = "Fit item-knn, ease or an encoder."
            checks.fail("similar_items", "come from a model that compares items; this one has", "no weights", way_out)
        return history_scores(items.indptr, items.indices, self.weights, np.zeros_like(self.bias))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return histories, weights and bias."""
        if _is_dense(self.weights):
            weights = {"weights": self.weights}
        else:
            weights = {
                "weight_indptr": self.weights.indptr,
                "weight_indices": self.weights.indices,
                "weight_values": self.weights.data,
            }
        return {**super().arrays(), **weights, "bias": self.bias}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Build from ``arrays()`` and ``settings()``."""
        del settings  # there are none
        if "weights" in arrays:
            weights: Weights = arrays["weights"]
        else:
            n_items = len(arrays["bias"])
            parts = arrays["weight_values"], arrays["weight_indices"], arrays["weight_indptr"]
            weights = scipy.sparse.csr_array(parts, shape=(n_items, n_items))
        return cls(Histories(arrays["history_indptr"], arrays["history_indices"]), weights, arrays["bias"])


def rank_blocks(
    scores: Any,
    histories: Histories,
    k: int,
    listed: NDArray[np.bool_],
    *,
    seen: SeenItems | None = None,
    zeros: bool = True,
    threads: int | None = None,
) -> Lists:
    """Return the ``k`` best of ``scores(block)``, (b, J), for each history, block by block in plain threads.

    Args:
        scores: from a block of histories to finite float32 scores; lets go of Python's lock.
        histories: n of them.
        k: length of the lists, 1 or more; where fewer remain they are padded with -1 and -inf.
        listed: (J,) what may be listed.
        seen: what is left out of each list.
        zeros: whether a score of exactly 0 may be listed.
        threads: how many to use; None: ``get_threads()``. The result is the same.
    """
    n = len(histories)
    threads = get_threads() if threads is None else checks.positive_int("threads", threads)
    if seen is None:
        seen = SeenItems(np.zeros(2, dtype=np.int64), np.empty(0, dtype=np.int32), np.zeros(n, dtype=np.int64))
    rows = np.arange(n, dtype=np.int64) if seen.rows is None else np.asarray(seen.rows, dtype=np.int64)
    indptr, indices = read_only(seen.indptr, np.int64), read_only(seen.indices, np.int32)
    index, score = np.full((n, k), -1, dtype=np.int32), np.full((n, k), -np.inf, dtype=np.float32)
    size = min(max(_BYTES // (4 * len(listed)), 1), _MOST)

    def run(start: int) -> None:
        part = slice(start, min(start + size, n))
        block = scores(histories.take(np.arange(start, part.stop)))
        index[part], score[part] = best_scores(block, k, (indptr, indices, rows[part]), listed, zeros=zeros)

    with ThreadPoolExecutor(threads, "rank") as pool:
        for done in [pool.submit(run, start) for start in range(0, n, size)]:
            done.result()
    return index, score


def _is_dense(weights: Weights) -> bool:
    return isinstance(weights, np.ndarray)
