"""The contract of a baseline: interactions in, a scorer out, no training loop in between."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions
from multimargin.kernels.filtered_scores import Graph
from multimargin.kernels.history_scores import Weights
from multimargin.ranges import AnyRange, searched
from multimargin.recommend.scorer import Scorer


class Baseline(ABC):
    """Base of all baselines: a rule with settings, which holds no data.

    A pair counts as 1, whatever its weight. Where a baseline stands in the place of an encoder, loss, negatives and
    optimiser have no part in the run.

    Attributes:
        ranges: which parameters of the constructor a search varies, and where.
    """

    ranges: ClassVar[Mapping[str, AnyRange]] = searched()

    @abstractmethod
    def build(self, train: Interactions, *, rng: np.random.Generator) -> Scorer:
        """Return what ranks for the users of ``train`` and for new ones with a history.

        Args:
            train: interactions to learn from, at least one.
            rng: what is drawn is drawn from it.
        """


def graph_of(train: Interactions) -> Graph:
    """Return interactions in both directions, as kernels take them."""
    return Graph.of(train.indptr, train.indices, train.n_items)


def by_history(index: NDArray[np.int32], value: NDArray[np.float32]) -> Weights:
    """Turn each item's k weights on others, (I, k) with -1 where there are fewer, into rows of those others."""
    n_items, _ = index.shape
    filled = index >= 0
    starts = np.concatenate(([0], np.cumsum(filled.sum(1))))
    columns = scipy.sparse.csc_array((value[filled], index[filled], starts), shape=(n_items, n_items))
    return columns.tocsr()  # item indices increase within a row
