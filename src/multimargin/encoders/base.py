"""The contract of an encoder: interactions in, a table of user vectors and a table of item vectors out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from multimargin.data.interactions import Interactions
from multimargin.encoders.fold_in import FoldIn
from multimargin.ranges import AnyRange, searched
from multimargin.rng import CounterRng

if TYPE_CHECKING:
    import polars as pl

Similarity = Literal["cosine", "dot"]


class Encoder(nn.Module, ABC):
    """Base of all encoders. ``build`` makes the parameters once the data is known; ``tables`` is the model.

    A step needs the vectors of some users and items. By default it calls ``tables`` and reads rows, which is right
    where vectors depend on one another, as in a graph. An encoder that can make the vectors of a batch alone says
    ``encodes_batches``, and a step calls ``encode_queries`` and ``encode_items``, or ``encode_batch``, instead.

    Attributes:
        similarity: how a user and an item vector become a score: "cosine" or "dot".
        ranks_by: what lists are made by, where that is not ``similarity``, which is trained; None: ``similarity``.
        is_table: both tables *are* the parameters (nothing is computed between them), so that only touched rows need to
            be read, differentiated and moved, and compiled engines can train it.
        encodes_batches: see above.
        items_are_table: ``self.item_table`` is a parameter and the item vectors; ``encode_items`` is not called in
            training, and only touched rows move.
        by_user: batches hold whole users, so that one pass over a user's history serves all of their interactions.
        ranges: which parameters of the constructor a search varies, and where.

    What is random inside (noise, dropout) is drawn from what ``start_step`` is handed, never from PyTorch's generator.
    """

    similarity: Similarity
    ranks_by: Similarity | None = None
    is_table: bool = False
    encodes_batches: bool = False
    items_are_table: bool = False
    by_user: bool = False
    ranges: ClassVar[Mapping[str, AnyRange]] = searched()

    @abstractmethod
    def build(self, train: Interactions, *, rng: np.random.Generator) -> None:
        """Create the parameters for this many users and items, initialised from ``rng``."""

    @abstractmethod
    def tables(self) -> tuple[Float[Tensor, "U D"], Float[Tensor, "I D"]]:
        """Return the user table (U, D) and the item table (I, D), not normalised."""

    def encode_users(self, users: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Return the vectors of ``users``, as ``tables`` has them."""
        return self.tables()[0][users]

    def encode_items(self, items: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Return the vectors of ``items``, as ``tables`` has them."""
        return self.tables()[1][items]

    def encode_queries(
        self,
        users: Int[Tensor, " B"],
        interactions: Int[Tensor, " B"],  # noqa: ARG002
    ) -> Float[Tensor, "B D"]:
        """Return the user vectors that training interactions are scored with, for an encoder that ``encodes_batches``.

        Args:
            users: (B,) the user of each row.
            interactions: (B,) which interaction of the training data each row is, so that a history can stop before
                it, or leave it out.
        """
        return self.encode_users(users)

    def encode_batch(
        self, users: Int[Tensor, " B"], interactions: Int[Tensor, " B"] | None, items: Int[Tensor, " S"]
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "S D"]]:
        """Return the vectors of a step's users and items, for an encoder that ``encodes_batches``.

        Calls ``encode_queries`` and ``encode_items``; override it where both come out of one computation.

        Args:
            users: (B,) the user of each row.
            interactions: (B,) as in ``encode_queries``; None: with all that is known of the users.
            items: (S,) distinct, increasing.
        """
        rows = self.encode_users(users) if interactions is None else self.encode_queries(users, interactions)
        return rows, self.encode_items(items)

    def user_table_after(self, history: Interactions) -> Float[Tensor, "U D"]:  # noqa: ARG002 - most cannot
        """Return the vectors of all users, as ``tables`` has them, after ``history`` instead of the training data.

        Args:
            history: interactions of the same users and items. It is what lists are made from once training is over:
                training and validation data.
        """
        return self.tables()[0]

    def rows_read(
        self,
        users: Int[Tensor, " B"],  # noqa: ARG002
        items: Int[Tensor, " n"],  # noqa: ARG002
    ) -> Mapping[nn.Parameter, Tensor]:
        """Return the rows of own tables with sparse gradients that a step with these users and items reads.

        The optimiser moves rows lazily and brings these up to date first. Not needed for ``item_table`` where
        ``items_are_table``, except for rows beyond ``items``.
        """
        return {}

    def start_step(self, rng: CounterRng) -> None:
        """Begin a training step; ``rng`` is the randomness of this step, the same whatever the number of threads."""

    def auxiliary_loss(
        self,
        users: Int[Tensor, " B"],  # noqa: ARG002
        positives: Int[Tensor, " B"],  # noqa: ARG002
        negatives: Int[Tensor, "B N"] | Int[Tensor, " N"],  # noqa: ARG002
    ) -> Float[Tensor, ""] | None:
        """Return what is added to the loss of a step (a contrast, a penalty), weighted; None: nothing."""
        return None

    def rows_of(self, name: str) -> Literal["user", "item"] | None:
        """Return whose rows the table ``name`` of ``state_dict`` has, so that training goes on with more of them.

        A table may begin with one row more, which stands for whoever is unknown. None: it has no rows for them.
        """
        if name in ("user_table", "users.ids"):
            return "user"
        return "item" if name in ("item_table", "history_table", "items.ids") else None

    def fold_in(self) -> FoldIn | None:
        """Return how a history becomes a vector, for users who were not in training; None: the mean of its items."""
        return None

    def new_users(self) -> "tuple[pl.Series, Float[Tensor, 'n D']] | None":
        """Return ids and vectors of users that the training data lacks and the encoder knows; None: of nobody."""
        return None

    def new_items(self) -> "tuple[pl.Series, Float[Tensor, 'n D']] | None":
        """Return ids and vectors of items that the training data lacks and the encoder knows; None: of none."""
        return None
