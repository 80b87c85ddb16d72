"""Matrix factorisation: one free vector per user and per item."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.encoders.base import Encoder, Similarity


class MF(Encoder):
    r"""One free vector per user and per item.  Also known as: matrix factorisation, two embedding tables, id tower.

    .. math:: s_{ui} = \frac{e_u^\top e_i}{\|e_u\|\,\|e_i\|} \text{ (cosine)} \qquad s_{ui} = e_u^\top e_i \text{ (dot)}

    Use:
        tables: ids alone; the cheapest, and the one compiled engines train.
    Args:
        embedding_dim: D, 1 or more.
        similarity: "cosine" (margin and softmax losses) or "dot" (BPR, BCE).
        init_std: standard deviation of the initial N(0, init_std**2) entries, above 0. 1e-4 is SimpleX's.

    Relations:
        SimpleX with gamma = 1.
    Source:
        Koren, Bell, Volinsky 2009; cosine form and initialisation: Mao et al., arXiv 2109.12613, RecZoo @88fae23.
    Differs:
        none known.
    Example:
        >>> MF(32).embedding_dim
        32
    """

    is_table = True

    def __init__(self, embedding_dim: int = 64, *, similarity: Similarity = "cosine", init_std: float = 1e-4):
        super().__init__()
        self.embedding_dim = checks.positive_int("embedding_dim", embedding_dim)
        self.similarity = similarity
        checks.choice("similarity", similarity, ("cosine", "dot"))
        self.init_std = checks.positive("init_std", init_std)

    def build(self, train: Interactions, *, rng: np.random.Generator) -> None:
        """Create both tables, users first, from ``rng``."""
        self.user_table = normal_table(train.n_users, self.embedding_dim, self.init_std, rng)
        self.item_table = normal_table(train.n_items, self.embedding_dim, self.init_std, rng)

    def tables(self) -> tuple[Float[Tensor, "U D"], Float[Tensor, "I D"]]:
        """Return the parameters themselves."""
        return self.user_table, self.item_table


def normal_table(rows: int, dim: int, std: float, rng: np.random.Generator) -> nn.Parameter:
    """Return a parameter (rows, dim) of N(0, std**2) entries, float32."""
    values = rng.standard_normal((rows, dim), dtype=np.float32)
    values *= np.float32(std)
    return nn.Parameter(torch.from_numpy(values))
