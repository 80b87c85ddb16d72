"""SimGCL: LightGCN whose vectors must be recognised after noise was added, twice."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.encoders.base import Encoder, Similarity
from multimargin.encoders.graph_row import GraphRow
from multimargin.encoders.graphs import Seen, batch_penalty, contrast, graph_of, noise_keys, normal_table
from multimargin.kernels.propagation import Noise, propagate, propagate_rows
from multimargin.ranges import Range, searched
from multimargin.rng import CounterRng


class SimGCL(Encoder):
    r"""Layers of the graph without layer 0, and a contrast between two noisy views.  Also known as: simple GCL.

    .. math::
        T = \frac1L \sum_{l=1}^{L} E^{(l)} \qquad E^{(l)} = A E^{(l-1)} + \varepsilon\,\text{sign}(\cdot) \odot u / |u|
        \qquad
        L_c = \lambda \Big( \text{InfoNCE}(T'_U, T''_U) + \text{InfoNCE}(T'_I, T''_I) \Big)

    A as in ``LightGCN``; u is uniform in [0, 1)^D, anew for each row, layer, view and step; U and I are the distinct
    users and positives of the batch. Scores are made of the view without noise. A step propagates three times.

    Use:
        graph: few epochs, at the cost of three propagations a step; see XSimGCL first.
    Args:
        embedding_dim: D, 1 or more.
        layers: L, 1 or more.
        similarity: "dot" (BPR, as published) or "cosine".
        init_std: standard deviation of the initial N(0, init_std**2) entries, above 0; published: Xavier's law, some
            0.007 on Yelp2018.
        noise: :math:`\varepsilon`, length of what is added to each row, above 0; published 0.1.
        contrast_weight: :math:`\lambda`, 0 or more; published 0.5 (Yelp2018).
        temperature: of the contrast, above 0; published 0.2.
        weight_decay: as in ``LightGCN``; published 1e-4.

    Relations:
        the vectors that are ranked are those of ``LightGCN`` with weights 0, 1/L, ..., 1/L.
    Source:
        Yu et al. 2022, arXiv 2112.08679; Coder-Yu/SELFRec @5b02294.
    Differs:
        the code's penalty takes lengths, not their squares.
    Example:
        >>> SimGCL(32).layers
        3
    """

    encodes_batches = True
    ranges = searched(
        noise=Range(0.01, 0.5, log=True),
        contrast_weight=Range(0.01, 2.0, log=True),
        temperature=Range(0.05, 1.0, log=True),
    )

    def __init__(
        self,
        embedding_dim: int = 64,
        *,
        layers: int = 3,
        similarity: Similarity = "cosine",
        init_std: float = 0.01,
        noise: float = 0.1,
        contrast_weight: float = 0.5,
        temperature: float = 0.2,
        weight_decay: float = 0.0,
    ):
        super().__init__()
        self.embedding_dim = checks.positive_int("embedding_dim", embedding_dim)
        self.layers = checks.positive_int("layers", layers)
        self.similarity = similarity
        checks.choice("similarity", similarity, ("cosine", "dot"))
        self.init_std = checks.positive("init_std", init_std)
        self.noise = checks.positive("noise", noise)
        self.contrast_weight = checks.not_negative("contrast_weight", contrast_weight)
        self.temperature = checks.positive("temperature", temperature)
        self.weight_decay = checks.not_negative("weight_decay", weight_decay)
        self._weights = (0.0,) + (1 / layers,) * layers
        self._keys = (0, 0)
        self._seen: Seen | None = None

    def build(self, train: Interactions, *, rng: np.random.Generator) -> None:
        """Create both tables, users first, from ``rng``, and lay out the graph."""
        self.user_table = normal_table(train.n_users, self.embedding_dim, self.init_std, rng)
        self.item_table = normal_table(train.n_items, self.embedding_dim, self.init_std, rng)
        self._graph = graph_of(train)

    def tables(self) -> tuple[Float[Tensor, "U D"], Float[Tensor, "I D"]]:
        """Send all vectors through all layers, without noise."""
        return propagate(self._graph, self.user_table, self.item_table, self._weights)

    def fold_in(self) -> GraphRow:
        """Return the row of the graph that a new user has."""
        return GraphRow.of(self._graph, self.user_table, self.item_table, self._weights)

    def start_step(self, rng: CounterRng) -> None:
        """Take the keys of both views' noise."""
        self._keys = noise_keys(rng)

    def encode_batch(
        self,
        users: Int[Tensor, " B"],
        interactions: Int[Tensor, " B"] | None,  # noqa: ARG002 - the graph is the same for all
        items: Int[Tensor, " S"],
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "S D"]]:
        """Make the last layer for ``users``, repeats allowed, and distinct ``items`` alone, without noise."""
        people, place = torch.unique(users, return_inverse=True)
        arguments = self._graph, self.user_table, self.item_table, people, items, self._weights
        (user_rows, item_rows), layer_0 = propagate_rows(*arguments, kept=(0,))
        self._seen = Seen(people, items, *layer_0)
        return embedding(place, user_rows), item_rows

    def auxiliary_loss(
        self, users: Int[Tensor, " B"], positives: Int[Tensor, " B"], negatives: Int[Tensor, "B N"] | Int[Tensor, " N"]
    ) -> Float[Tensor, ""] | None:
        """Return the contrast of two noisy views, and the penalty of layer 0, of the batch that was encoded last."""
        seen, self._seen = self._seen, None
        assert seen is not None  # a step encodes before it asks
        result = self.weight_decay * batch_penalty(seen, users, positives, negatives)
        liked = torch.unique(positives)
        arguments = self._graph, self.user_table, self.item_table, seen.users, liked, self._weights
        one, other = (propagate_rows(*arguments, noise=Noise(self.noise, key))[0] for key in self._keys)
        of_users, of_items = (contrast(*rows, self.temperature) for rows in zip(one, other, strict=True))
        return result + self.contrast_weight * (of_users + of_items)
