"""LightGCN: what a user touched, and who touched that, and so on, averaged; nothing else."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.encoders.base import Encoder, Similarity
from multimargin.encoders.graph_row import GraphRow
from multimargin.encoders.graphs import Seen, batch_penalty, graph_of, normal_table
from multimargin.kernels.propagation import checked_weights, propagate, propagate_rows
from multimargin.ranges import Range, searched


class LightGCN(Encoder):
    r"""Free vectors, sent over the graph of interactions, layers averaged.  Also known as: LGN.

    .. math::
        A = D^{-1/2} \begin{pmatrix} 0 & R \\ R^\top & 0 \end{pmatrix} D^{-1/2} \qquad
        \begin{pmatrix} \text{users} \\ \text{items} \end{pmatrix} = \sum_{l=0}^{L} w_l A^l E

    R holds the interactions, D the degrees, E the free vectors (layer 0). A step sends whole tables through all layers
    but the last, which is made for the users and items of the batch (``kernels/propagation``).

    Use:
        graph: users with few interactions, who borrow from those alike.
    Args:
        embedding_dim: D, 1 or more.
        layers: L, 0 or more: how far vectors travel; 1 to 4 are usual.
        layer_weights: (L + 1,) weights, layer 0 first, 0 or more; None: all 1 / (L + 1), as published.
        similarity: what is trained: "cosine" (margin and softmax losses) or "dot" (BPR, as published).
        ranks_by: what lists are made by; None: ``similarity``. In-batch softmax on cosines is published with "dot": it
            says little of popularity, which the lengths that layers give to vectors know.
        init_std: standard deviation of the initial N(0, init_std**2) entries, above 0; published 0.1.
        weight_decay: times half the squared length of the batch's rows of layer 0, mean over the batch and over
            negatives, added to the loss; 0 or more, published 1e-4. (The optimiser's reaches all rows, and lazily.)

    Relations:
        MF with ``layers=0``.
    Source:
        He et al. 2020, arXiv 2002.02126, equations 3, 4, 7, 15; kuandeng/LightGCN @b067ec0,
        gusye1234/LightGCN-PyTorch @947ca2b.
    Differs:
        the published penalty has one negative; the mean is taken where there are more. Tables start by the law of the
        second code, the first has Xavier's.
    Example:
        >>> LightGCN(32, layers=2).layer_weights
        (0.3333333333333333, 0.3333333333333333, 0.3333333333333333)
    """

    encodes_batches = True
    ranges = searched(layers=Range(1, 4), weight_decay=Range(1e-7, 1e-2, log=True))

    def __init__(
        self,
        embedding_dim: int = 64,
        *,
        layers: int = 3,
        layer_weights: Sequence[float] | None = None,
        similarity: Similarity = "cosine",
        ranks_by: Similarity | None = None,
        init_std: float = 0.1,
        weight_decay: float = 0.0,
    ):
        super().__init__()
        self.embedding_dim = checks.positive_int("embedding_dim", embedding_dim)
        self.layers = layers
        self.layer_weights = checked_weights(layers, layer_weights)
        self.similarity = similarity
        checks.choice("similarity", similarity, ("cosine", "dot"))
        self.ranks_by = ranks_by
        if ranks_by is not None:
            checks.choice("ranks_by", ranks_by, ("cosine", "dot"))
        self.init_std = checks.positive("init_std", init_std)
        self.weight_decay = checks.not_negative("weight_decay", weight_decay)
        self._seen: Seen | None = None  # of the step under way

    def build(self, train: Interactions, *, rng: np.random.Generator) -> None:
        """Create both tables, users first, from ``rng``, and lay out the graph."""
        self.user_table = normal_table(train.n_users, self.embedding_dim, self.init_std, rng)
        self.item_table = normal_table(train.n_items, self.embedding_dim, self.init_std, rng)
        self._graph = graph_of(train)

    def tables(self) -> tuple[Float[Tensor, "U D"], Float[Tensor, "I D"]]:
        """Send all vectors through all layers."""
        return propagate(self._graph, self.user_table, self.item_table, self.layer_weights)

    def fold_in(self) -> GraphRow:
        """Return the row of the graph that a new user has."""
        return GraphRow.of(self._graph, self.user_table, self.item_table, self.layer_weights)

    def encode_batch(
        self,
        users: Int[Tensor, " B"],
        interactions: Int[Tensor, " B"] | None,  # noqa: ARG002 - the graph is the same for all
        items: Int[Tensor, " S"],
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "S D"]]:
        """Make the last layer for ``users``, repeats allowed, and distinct ``items`` alone."""
        people, place = torch.unique(users, return_inverse=True)
        kept = (0,) if self.weight_decay else ()
        found = propagate_rows(
            self._graph, self.user_table, self.item_table, people, items, self.layer_weights, kept=kept
        )
        self._seen = Seen(people, items, *found[1]) if kept else None
        user_rows, item_rows = found[0]
        return embedding(place, user_rows), item_rows

    def auxiliary_loss(
        self, users: Int[Tensor, " B"], positives: Int[Tensor, " B"], negatives: Int[Tensor, "B N"] | Int[Tensor, " N"]
    ) -> Float[Tensor, ""] | None:
        """Return the penalty on layer 0 of the batch that was encoded last; None without ``weight_decay``."""
        seen, self._seen = self._seen, None
        if not self.weight_decay:
            return None
        assert seen is not None  # a step encodes before it asks
        return self.weight_decay * batch_penalty(seen, users, positives, negatives)
