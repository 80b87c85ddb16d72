"""Negatives whose texts say what the positive's says, seen through what users do."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.errors import ArgumentError
from multimargin.negatives.adapter import adapted, collaborative_vectors
from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.negatives.candidates import draw_by_weight, softmax, uniforms
from multimargin.negatives.seen import has_seen
from multimargin.negatives.uniform import UniformNegatives
from multimargin.negatives.vectors import neighbours, read_vectors
from multimargin.ranges import Range, searched
from multimargin.rng import CounterRng


class SemanticNegatives(NegativeSampler):
    r"""Draws a share of the negatives from the items whose texts are near the positive's, the rest uniformly.
    Also known as: SNS, semantic negative sampling, of HNLMRec.

    .. math:: q(j \mid u, i) = \eta \, \frac{[j \in M_i \setminus S_u] \, e^{a_i^\top a_j / \tau}}
              {\sum_{k \in M_i \setminus S_u} e^{a_i^\top a_k / \tau}} + (1 - \eta) \, \frac{[j \notin S_u]}{I - |S_u|}

    :math:`a` are the text vectors after an adapter that learns, once and in closed form, to tell behaviour from text
    (``adapter.py``: ridge regression onto the leading directions of the training matrix); :math:`M_i` are ranks
    ``skipped`` + 1 to ``skipped`` + ``nearest`` of the items by :math:`a_i^\top a_j`, :math:`S_u` the user's items,
    :math:`\eta` ``hard``, :math:`\tau` ``temperature``. What is nearest is most often what the user would like as well,
    a false negative: skip it, raise the temperature, or filter by ``RankFilteredNegatives(law=...)``. A user who has
    all of :math:`M_i` gets uniform draws. ``InterpolatedNegatives(law=...)`` mixes vectors rather than draws.

    Before training I**2 products of ``rank`` (some twenty seconds for 40,000 items, hours for millions). Then some 10
    microseconds a row whatever N is, twice that where a batch's users times I exceed 2**22, and a few hundred ns a
    draw: more than scoring it costs with 64 dimensions. Holds 8 bytes times I times ``nearest``.

    Use:
        from elsewhere: titles or descriptions of items, as vectors of any text encoder.
    Args:
        item_vectors: (I, any) of any text encoder: a ``.parquet`` file by id, as ``multimargin data embed`` writes it,
            a ``.npy`` file or an array in the order of the item vocabulary. Brought to length 1. None: no texts, and
            the adapter's goal stands in for what it makes of them.
        hard: eta, share of hard negatives, 0 to 1.
        nearest: items hard ones are drawn from, 1 or more; at most all others.
        skipped: nearer ones that are not, 0 or more; fewer where there are no others.
        temperature: tau, above 0; the higher, the more alike are the chances of the nearest.
        rank: directions of behaviour the adapter learns, 0 or more; 0: texts are taken as they are.
        exclude_seen: leave out the items the user has in the training data.

    Returns:
        Negatives: ``sample`` gives ``index`` (B, N); no ``log_q``, since being hard is its purpose, and no ``mask``.
    Raises:
        NoNegativesError: with ``exclude_seen``, a user has seen every item.
        ArgumentError: an argument is out of its range, vectors are not those of the items, drawn from before ``build``.
        PlacedError: the file of vectors is missing or broken.
    Source:
        Zhao et al. 2025, arXiv 2504.04726 (HNLMRec); user683/HNLMRec @80536a4.
    Differs:
        no language model writes negatives: they are items, found by vectors of their texts. Its code adds an LLM's
        vector, by an adapter it never trains, times 1e-4 to 1e-2, to a drawn item's. Draws, band, adapter and defaults
        are ours.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [1, 3], [1, 2]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(2), Vocabulary.range(5))
        >>> texts = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])
        >>> sampler = SemanticNegatives(texts, hard=0.5, nearest=2, skipped=0, temperature=1.0, rank=0)
        >>> sampler.build(train)
        >>> sampler.probabilities(np.array([0]), positives=np.array([0])).round(3).tolist()
        [[0.0, 0.4, 0.35, 0.125, 0.125]]
    """

    ranges = searched(hard=Range(0.0, 1.0), temperature=Range(0.02, 1.0, log=True))

    def __init__(
        self,
        item_vectors: Any = None,
        *,
        hard: float = 0.25,
        nearest: int = 100,
        skipped: int = 50,
        temperature: float = 0.1,
        rank: int = 32,
        exclude_seen: bool = True,
    ):
        self._given = item_vectors
        self.hard = checks.share("hard", hard)
        self.nearest = checks.positive_int("nearest", nearest)
        self.skipped = checks.at_least("skipped", skipped, 0)
        self.temperature = checks.positive("temperature", temperature)
        self.rank = checks.at_least("rank", rank, 0)
        if item_vectors is None and not rank:
            checks.fail("rank", "be 1 or more without item_vectors", rank, "Give vectors of texts, or a rank.")
        self.exclude_seen = exclude_seen
        self._unseen = UniformNegatives(exclude_seen=exclude_seen)
        self._train: Interactions | None = None

    def build(self, train: Interactions) -> None:
        """Read the vectors, train the adapter, and find each item's neighbours."""
        self._unseen.build(train)
        if self._given is None:
            vectors = collaborative_vectors(train, self.rank)
        else:
            vectors = read_vectors(self._given, train.items)
            vectors = adapted(vectors, train, self.rank) if self.rank else vectors
        nearest = max(min(self.nearest, train.n_items - 1), 1)
        skipped = max(min(self.skipped, train.n_items - 1 - nearest), 0)
        self._near, self._products = neighbours(vectors, skipped, nearest)  # (I, M)
        self._train = train

    def sample(self, users: NDArray[np.int64], positives: NDArray[np.int64], n: int, *, rng: CounterRng) -> Negatives:
        """Draw ``n`` items for each row; arguments as in ``NegativeSampler.sample``."""
        near, weights, hard = self._around(users, positives)
        index = self._unseen.sample(users, positives, n, rng=rng.branch("easy")).index  # (B, N)
        columns = draw_by_weight(weights, n, rng.branch("hard"))
        is_hard = uniforms(len(users), n, rng) < hard[:, None]
        return Negatives(np.where(is_hard, np.take_along_axis(near, columns, axis=1), index))

    def probabilities(
        self, users: NDArray[np.int64], *, positives: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return the law, (B, I), for ``positives`` (B,), item 0 if None."""
        near, weights, hard = self._around(users, np.zeros_like(users) if positives is None else positives)
        law = (1 - hard[:, None]) * self._unseen.probabilities(users)
        np.put_along_axis(law, near, np.take_along_axis(law, near, axis=1) + hard[:, None] * weights, axis=1)
        return law

    def _around(
        self, users: NDArray[np.int64], positives: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Return items near each positive, (B, M), their weights, and the share of hard draws, (B,): 0 without any."""
        if self._train is None:
            raise ArgumentError("SemanticNegatives must be built before it draws. Call build(train) first.")
        self._unseen.require_unseen(users)
        near = self._near[positives].astype(np.int64)
        logits = self._products[positives].astype(np.float64) / self.temperature
        if self.exclude_seen:
            logits[has_seen(users, near, self._train)] = -np.inf
        return near, softmax(logits), np.where(np.isfinite(logits).any(axis=1), self.hard, 0.0)
