"""The contract of an encoder: interactions in, a table of user vectors and a table of item vectors out."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from multimargin.data.interactions import Interactions

Similarity = Literal["cosine", "dot"]


class Encoder(nn.Module, ABC):
    """Base of all encoders. ``build`` makes the parameters once the data is known; ``tables`` is the model.

    ``similarity`` says how a user and an item vector become a score: "cosine" or "dot".
    ``is_table`` says that the tables *are* the parameters (nothing is computed between them), so that only touched
    rows need to be read, differentiated and moved.
    """

    similarity: Similarity
    is_table: ClassVar[bool] = False

    @abstractmethod
    def build(self, train: Interactions, *, rng: np.random.Generator) -> None:
        """Create the parameters for this many users and items, initialised from ``rng``."""

    @abstractmethod
    def tables(self) -> tuple[Float[Tensor, "U D"], Float[Tensor, "I D"]]:
        """Return the user table (U, D) and the item table (I, D), not normalised."""

    def encode_users(self, users: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Return the vectors of ``users``."""
        return self.tables()[0][users]

    def encode_items(self, items: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Return the vectors of ``items``."""
        return self.tables()[1][items]
