"""Negatives from the positive's own cluster of items, and from those near it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.errors import ArgumentError
from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.negatives.clusters import ItemClusters
from multimargin.negatives.seen import has_seen
from multimargin.negatives.uniform import UniformNegatives
from multimargin.negatives.vectors import read_vectors
from multimargin.ranges import Range, searched
from multimargin.rng import CounterRng


class ClusteredNegatives(NegativeSampler):
    r"""Clusters items twice, and draws hard negatives from the positive's first cluster, easy ones from others near it.
    Also known as: MSAC, multimodal semantic-aware clustering, of ESANS.

    .. math:: q(j \mid i) = \begin{cases} \eta \, / \, |A_i \setminus F_i| & j \in A_i \setminus F_i \\
              (1 - \eta) \, \dfrac{e^{-d(A_i, A_j) / \tau}}{\sum_{A \ne A_i} e^{-d(A_i, A) / \tau}} \, / \, |A_j|
              & j \notin A_i \end{cases}

    :math:`A_i` is item i's coarse cluster, :math:`F_i` what of it is in its fine cluster, d the distance of centres,
    :math:`\eta` ``hard``, :math:`\tau` ``temperature``. Fine clusters are of what coarse centres leave over (residual
    quantisation). A kind that is empty leaves its share to the other. A few look-ups per draw, and 20 products of items
    and centres for clusters, each epoch for the model's own vectors.

    Use:
        from elsewhere: item vectors of texts, images or another model, or the model's own.
    Args:
        item_vectors: (I, any) of texts, images, another model: an array or ``.npy`` file in the order of the item
            vocabulary, or a ``.parquet`` file by id. None: the model's own, afresh each epoch. Brought to length 1.
        coarse: clusters, 2 or more, at most a quarter of the items.
        fine: clusters of what is left over, 2 or more, likewise.
        hard: eta, share of hard negatives, 0 to 1.
        temperature: tau, above 0.
        exclude_seen: mask the items the user has in the training data, of which the positive's cluster is full.

    Returns:
        Negatives: ``sample`` gives ``index`` (B, N), and a ``mask`` with ``exclude_seen``.
    Raises:
        NoNegativesError: with ``exclude_seen``, a user has seen every item.
        ArgumentError: an argument is out of its range, there is not one finite vector for each item, or no epoch began.
    Source:
        ESANS, arXiv 2502.16077.
    Differs:
        no official code: ``hard``, the numbers, length 1 and masks are ours; modalities are to be joined before.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(8))
        >>> angles = np.array([0.0, 0.1, 0.5, 0.6, 3.0, 3.1, 3.5, 3.6])
        >>> sampler = ClusteredNegatives(np.stack([np.cos(angles), np.sin(angles)], axis=1), coarse=2, fine=2)
        >>> sampler.build(train)
        >>> sampler.start_epoch(0, rng=CounterRng(key=7))
        >>> sampler.probabilities(np.array([1]), positives=np.array([0])).round(3).tolist()
        [[0.0, 0.0, 0.0, 0.333, 0.167, 0.167, 0.167, 0.167]]
    """

    needs = frozenset({"tables"})
    ranges = searched(hard=Range(0.0, 1.0), temperature=Range(0.05, 5.0, log=True))

    def __init__(
        self,
        item_vectors: Any = None,
        *,
        coarse: int = 32,
        fine: int = 8,
        hard: float = 0.5,
        temperature: float = 1.0,
        exclude_seen: bool = True,
    ):
        self._given = item_vectors
        self.needs = frozenset({"tables"} if item_vectors is None else ())
        self.coarse, self.fine = checks.at_least("coarse", coarse, 2), checks.at_least("fine", fine, 2)
        self.hard = checks.share("hard", hard)
        self.temperature = checks.positive("temperature", temperature)
        self.exclude_seen = exclude_seen
        self._unseen = UniformNegatives(exclude_seen=exclude_seen)

    def build(self, train: Interactions) -> None:
        """Take who has seen what, and read the vectors."""
        self._unseen.build(train)
        self._train = train
        self._vectors = None if self._given is None else read_vectors(self._given, train.items)
        self._clusters: ItemClusters | None = None

    def start_epoch(
        self,
        epoch: int,  # noqa: ARG002 - by the place of rng
        *,
        rng: CounterRng,
        user_vectors: NDArray[np.float32] | None = None,  # noqa: ARG002
        item_vectors: NDArray[np.float32] | None = None,
    ) -> None:
        """Make clusters: of given vectors the same in each epoch, of the model's anew."""
        if self._vectors is not None and self._clusters is not None:
            return
        vectors = self._vectors if item_vectors is None else read_vectors(item_vectors, self._train.items)
        if vectors is not None:
            place = CounterRng(rng.key) if self._vectors is not None else rng  # wherever a run is taken up again
            options = {"hard": self.hard, "temperature": self.temperature}
            self._clusters = ItemClusters(vectors, self.coarse, self.fine, rng=place.generator(), **options)

    def sample(self, users: NDArray[np.int64], positives: NDArray[np.int64], n: int, *, rng: CounterRng) -> Negatives:
        """Draw ``n`` items for each row; arguments as in ``NegativeSampler.sample``."""
        self._unseen.require_unseen(users)
        index = self._made.draw(positives, checks.positive_int("n", n), rng)
        return Negatives(index, mask=~has_seen(users, index, self._train) if self.exclude_seen else None)

    def probabilities(
        self, users: NDArray[np.int64], *, positives: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return the law of what counts, (B, I), for ``positives`` (B,), item 0 if None; 0 where nothing does."""
        law = self._made.law(np.zeros_like(users) if positives is None else positives)
        law *= self._unseen.probabilities(users) > 0
        total = law.sum(axis=1, keepdims=True)
        law /= np.where(total > 0, total, 1.0)
        return law

    @property
    def _made(self) -> ItemClusters:
        if self._clusters is None:
            raise ArgumentError("ClusteredNegatives must be built, and an epoch begun. Call build, then start_epoch.")
        return self._clusters
