"""What a loss may tell the compiled engines, and what it may be told of the training data."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Hinges:
    r"""What the compiled engines need to know of a margin loss.

    .. math:: \ell(u,i) = p\,[1 - s_{ui}]_+ + \frac1N \sum_j \sum_k a_k [s_{uj} - m_k]_+

    Args:
        positive_slope: p.
        margins: the m_k, increasing.
        slopes: the a_k, one per margin (every weight multiplied in).
    """

    positive_slope: float
    margins: tuple[float, ...]
    slopes: tuple[float, ...]


@dataclass(frozen=True)
class Squares:
    r"""What they need to know of a loss of squares.

    .. math:: \ell(u,i) = \frac{w_+}{2} (s_{ui} - 1)^2 + \frac{w_-}{2N} \sum_j s_{uj}^2

    Args:
        pos_weight: of the positive.
        neg_weight: of the mean over the negatives.
    """

    pos_weight: float
    neg_weight: float


@dataclass(frozen=True)
class Logistic:
    r"""What they need to know of a loss of sigmoids.

    .. math:: \ell(u,i) = -w_+ \log \sigma(s_{ui} / \tau) - \frac{w_-}{N} \sum_j \log \sigma(-s_{uj} / \tau)

    Args:
        pos_weight: of the positive.
        neg_weight: of the mean over the negatives.
        temperature: what scores are divided by.
    """

    pos_weight: float
    neg_weight: float
    temperature: float


Terms = Hinges | Squares | Logistic


@dataclass(frozen=True)
class SoftMaximum:
    r"""What they need to know of a softmax loss: the positive outside of the logarithm, or inside of it.

    .. math::
        \ell(u,i) = w_- M - w_+ P \quad\text{or}\quad \log(1 + w_- e^{M - s_{ui} / \tau}), \qquad
        M = \log \frac1N \sum_j e^{s_{uj} / \tau}, \qquad
        P = s_{ui} \quad\text{or}\quad \tau_+ \log \frac{1}{|G_u|} \sum_{c \in G_u} e^{s_{uc} / \tau_+}

    Args:
        temperature: what scores are divided by.
        neg_weight: of the soft maximum.
        pos_weight: of the positive; where it is inside, None.
        pos_temperature: of the soft maximum over the user's positives in the batch, G; of one alone, None.
    """

    temperature: float
    neg_weight: float
    pos_weight: float | None = None
    pos_temperature: float | None = None


@dataclass(frozen=True)
class PairwiseLogistic:
    r"""What they need to know of a loss of differences: nothing more.

    .. math:: \ell(u,i) = \frac1N \sum_j \log(1 + e^{s_{uj} - s_{ui}})
    """


Rows = SoftMaximum | PairwiseLogistic


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a loss may know of the training data, handed to ``Loss.prepare`` once.

    Args:
        n_users: U.
        n_items: I.
        user_index: (n,) user of each training pair.
        item_index: (n,) its item; pairs are distinct.
    """

    n_users: int
    n_items: int
    user_index: NDArray[np.integer[Any]]
    item_index: NDArray[np.integer[Any]]

    @property
    def user_counts(self) -> NDArray[np.int64]:
        """(U,) training pairs of each user."""
        return np.bincount(self.user_index, minlength=self.n_users)

    @property
    def item_counts(self) -> NDArray[np.int64]:
        """(I,) training pairs of each item."""
        return np.bincount(self.item_index, minlength=self.n_items)
