"""XSimGCL: LightGCN with noise in every layer, whose first layer and mean must recognise one another."""

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


class XSimGCL(Encoder):
    r"""Noisy layers of the graph without layer 0, and a contrast across layers.  Also known as: extremely simple GCL.

    .. math::
        T = \frac1L \sum_{l=1}^{L} E^{(l)} \qquad E^{(l)} = A E^{(l-1)} + \varepsilon\,\text{sign}(\cdot) \odot u / |u|
        \qquad
        L_c = \lambda \Big( \text{InfoNCE}(T_U, E^{(l^*)}_U) + \text{InfoNCE}(T_I, E^{(l^*)}_I) \Big)

    A as in ``LightGCN``; u is uniform in [0, 1)^D, anew for each row, layer and step; U and I are the distinct users
    and positives of the batch. In training scores have the noise in them, what is ranked has none. One propagation.

    Use:
        graph: few epochs, and items that few have touched ranked higher.
    Args:
        embedding_dim: D, 1 or more.
        layers: L, 1 or more.
        contrast_layer: :math:`l^*`, in 1..layers; published 1.
        similarity: "dot" (BPR, as published) or "cosine".
        init_std: standard deviation of the initial N(0, init_std**2) entries, above 0; published: Xavier's law, some
            0.007 on Yelp2018.
        noise: :math:`\varepsilon`, length of what is added to each row, above 0; published 0.2.
        contrast_weight: :math:`\lambda`, 0 or more; published 0.2.
        temperature: of the contrast, above 0; published 0.15 (Yelp2018).
        weight_decay: as in ``LightGCN``; published 1e-4.

    Relations:
        the vectors that are ranked are those of ``LightGCN`` with weights 0, 1/L, ..., 1/L.
    Source:
        Yu et al. 2023, arXiv 2209.02544; Coder-Yu/SELFRec @5b02294.
    Differs:
        the code's penalty takes lengths, not their squares. Tiny-Snow/IR-Benchmark's differs more: Gaussian noise, and
        the contrast over rows of the batch, repeats and all.
    Example:
        >>> XSimGCL(32).contrast_layer
        1
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
        contrast_layer: int = 1,
        similarity: Similarity = "cosine",
        init_std: float = 0.01,
        noise: float = 0.2,
        contrast_weight: float = 0.2,
        temperature: float = 0.15,
        weight_decay: float = 0.0,
    ):
        super().__init__()
        self.embedding_dim = checks.positive_int("embedding_dim", embedding_dim)
        self.layers = checks.positive_int("layers", layers)
        self.contrast_layer = checks.positive_int("contrast_layer", contrast_layer)
        if contrast_layer > layers:
            checks.fail("contrast_layer", f"be at most layers, {layers}", contrast_layer)
        self.similarity = similarity
        checks.choice("similarity", similarity, ("cosine", "dot"))
        self.init_std = checks.positive("init_std", init_std)
        self.noise = checks.positive("noise", noise)
        self.contrast_weight = checks.not_negative("contrast_weight", contrast_weight)
        self.temperature = checks.positive("temperature", temperature)
        self.weight_decay = checks.not_negative("weight_decay", weight_decay)
        self._weights = (0.0,) + (1 / layers,) * layers
        self._noise: Noise | None = None
        self._seen: Seen | None = None
        self._views: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None  # of users, of items

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
        """Take the key of the step's noise."""
        self._noise = Noise(self.noise, noise_keys(rng)[0])

    def encode_batch(
        self,
        users: Int[Tensor, " B"],
        interactions: Int[Tensor, " B"] | None,  # noqa: ARG002 - the graph is the same for all
        items: Int[Tensor, " S"],
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "S D"]]:
        """Make the last layer for ``users``, repeats allowed, and distinct ``items`` alone; in training, with noise."""
        people, place = torch.unique(users, return_inverse=True)
        arguments = self._graph, self.user_table, self.item_table, people, items, self._weights
        noise = self._noise if self.training else None
        mean, layer_0, layer = propagate_rows(*arguments, kept=(0, self.contrast_layer), noise=noise)
        self._seen = Seen(people, items, *layer_0)
        self._views = (mean[0], layer[0]), (mean[1], layer[1])
        return embedding(place, mean[0]), mean[1]

    def auxiliary_loss(
        self, users: Int[Tensor, " B"], positives: Int[Tensor, " B"], negatives: Int[Tensor, "B N"] | Int[Tensor, " N"]
    ) -> Float[Tensor, ""] | None:
        """Return the contrast of mean and layer, and the penalty of layer 0, of the batch that was encoded last."""
        seen, self._seen = self._seen, None
        views, self._views = self._views, None
        assert seen is not None  # a step encodes before it asks
        assert views is not None
        result = self.weight_decay * batch_penalty(seen, users, positives, negatives)
        liked = torch.searchsorted(seen.items, torch.unique(positives))
        of_users = contrast(*views[0], self.temperature)
        mean, layer = (embedding(liked, rows) for rows in views[1])
        of_items = contrast(mean, layer, self.temperature)
        return result + self.contrast_weight * (of_users + of_items)
