"""SimpleX: a free vector per user, mixed with what their history holds."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag, linear

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.encoders.base import Encoder, Similarity
from multimargin.encoders.histories import Bags, Histories
from multimargin.encoders.mf import normal_table
from multimargin.encoders.pooling import Pooling
from multimargin.kernels.attention_pooling import attention_pooling
from multimargin.ranges import Range, searched

Aggregation = Literal["mean", "user_attention", "self_attention"]
_BLOCK = 1024  # users whose histories are pooled at a time where whole tables are made


class SimpleX(Encoder):
    r"""A free vector per user, mixed with a pooling of the items they touched.  Also known as: id and history tower.

    .. math:: h_u = \gamma\, e_u + (1 - \gamma)\, V \sum_{i \in H_u} a_{ui}\, x_i, \qquad
        a_{ui} = \frac{1}{|H_u|} \;\text{ or }\; \mathrm{softmax}_i\; q_u^\top \tanh(K x_i + b)

    H_u is the user's history, x_i a vector of the item: the one it is scored with, or one that it has in histories
    only. In "user_attention" q_u is e_u, in "self_attention" one free vector for all users.

    Use:
        histories: users who are what they touched, new users and changing histories.
    Args:
        embedding_dim: D, 1 or more.
        gamma: share of the user's own vector, in [0, 1]. 0.8 on Gowalla as published; 1 is MF.
        aggregation: "mean", "user_attention" or "self_attention".
        own_history_table: items have vectors of their own in histories; else those they are scored with.
        max_history: most items of a history that count, 1 or more: the latest where there are times, else some that are
            drawn once; None: all.
        leave_out_positive: a training interaction is scored without its own item in the history, as a new item is when
            lists are made. Off as published; a step then pools for each interaction what it could not have seen.
        similarity: "cosine" (margin and softmax losses) or "dot" (BPR, BCE).
        init_std: standard deviation of the initial N(0, init_std**2) vectors, above 0. Matrices start as those of
            PyTorch's linear layers do.

    Relations:
        MF when gamma = 1.
    Source:
        Mao et al., CIKM 2021, arXiv 2109.12613, eq. 7-10; code RecZoo @88fae23, matching/cf/SimpleX.
    Differs:
        There a padded place has score 0 in the softmax and so adds 1 to its denominator, which makes the pooling of a
        short history small beside the user's vector; here it does not count. Not taken over: dropout of attention,
        biases. An empty history pools to 0, as there.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> users, items = Vocabulary.range(2), Vocabulary.range(3)
        >>> train = Interactions.from_pairs(np.array([0, 0, 1]), np.array([0, 1, 2]), users, items)
        >>> encoder = SimpleX(4, gamma=0.5)
        >>> encoder.build(train, rng=np.random.default_rng(0))
        >>> encoder.encode_users(torch.tensor([1])).shape
        torch.Size([1, 4])
    """

    ranges = searched(gamma=Range(0.0, 1.0))

    def __init__(
        self,
        embedding_dim: int = 64,
        *,
        gamma: float = 0.8,
        aggregation: Aggregation = "mean",
        own_history_table: bool = False,
        max_history: int | None = None,
        leave_out_positive: bool = False,
        similarity: Similarity = "cosine",
        init_std: float = 1e-4,
    ):
        super().__init__()
        self.embedding_dim = checks.positive_int("embedding_dim", embedding_dim)
        self.gamma = checks.share("gamma", gamma)
        checks.choice("aggregation", aggregation, ("mean", "user_attention", "self_attention"))
        checks.choice("similarity", similarity, ("cosine", "dot"))
        self.aggregation: Aggregation = aggregation
        self.own_history_table, self.leave_out_positive = own_history_table, leave_out_positive
        self.max_history = None if max_history is None else checks.positive_int("max_history", max_history)
        self.similarity = similarity
        self.init_std = checks.positive("init_std", init_std)
        self.is_table = self.gamma == 1
        self.encodes_batches = self.items_are_table = not self.is_table

    def build(self, train: Interactions, *, rng: np.random.Generator) -> None:
        """Create the tables, users first, then the matrices, from ``rng``, and choose what histories hold."""
        dim = self.embedding_dim
        self.user_table = normal_table(train.n_users, dim, self.init_std, rng)
        self.item_table = normal_table(train.n_items, dim, self.init_std, rng)
        if self.is_table:
            return
        if self.own_history_table:
            self.history_table = normal_table(train.n_items, dim, self.init_std, rng)
        self.value = _uniform(rng, dim, dim)
        if self.aggregation != "mean":
            self.key, self.key_bias = _uniform(rng, dim, dim), _uniform(rng, dim)
        if self.aggregation == "self_attention":
            self.query = _uniform(rng, 1, dim)
        self._histories = Histories(train, self.max_history, rng=rng)

    def tables(self) -> tuple[Float[Tensor, "U D"], Float[Tensor, "I D"]]:
        """Return a vector for every user and the item table."""
        if self.is_table:
            return self.user_table, self.item_table
        users = torch.arange(len(self.user_table), device=self.user_table.device)
        return torch.cat([self.encode_users(part) for part in torch.split(users, _BLOCK)]), self.item_table

    def encode_users(self, users: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Return the vectors of ``users`` with all of their histories."""
        own = embedding(users, self.user_table, sparse=True)
        return own if self.is_table else self._mixed(own, self._histories.of(users.cpu().numpy()))

    def encode_items(self, items: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Return the rows of the item table."""
        return embedding(items, self.item_table, sparse=True)

    def encode_queries(self, users: Int[Tensor, " B"], interactions: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Return the vectors of ``users``, each without the item of its interaction where that is left out."""
        if not self.leave_out_positive:
            return self.encode_users(users)
        without = interactions.cpu().numpy()
        bags = self._histories.of(users.cpu().numpy(), without=without)
        return self._mixed(embedding(users, self.user_table, sparse=True), bags)

    def rows_read(
        self,
        users: Int[Tensor, " B"],
        items: Int[Tensor, " n"],  # noqa: ARG002 - the loop knows that it reads them
    ) -> Mapping[nn.Parameter, Tensor]:
        """Return the rows of the users and of what is in their histories."""
        history = torch.from_numpy(self._histories.of(users.cpu().numpy()).distinct).to(users.device)
        if self.own_history_table:
            return {self.user_table: users, self.history_table: history}
        return {self.user_table: users, self.item_table: history}

    def fold_in(self) -> Pooling | None:
        """Return the pooling of a history with an own vector that stands in for a trained one."""
        if self.is_table:
            return None
        nothing = torch.empty((0, 0))
        held = self.history_table if self.own_history_table else self.item_table
        attends = self.aggregation != "mean"
        tensors = {
            "held": held,
            "value": self.value,
            "key": self.key if attends else nothing,
            "key_bias": self.key_bias if attends else nothing[0:0].flatten(),
            "query": self.query if self.aggregation == "self_attention" else nothing,
        }
        length = float(self.user_table.detach().norm(dim=-1).median())
        arrays = {name: each.detach().float().cpu().numpy() for name, each in tensors.items()}
        return Pooling(**arrays, gamma=self.gamma, length=length)

    def _mixed(self, own: Float[Tensor, "B D"], bags: Bags) -> Float[Tensor, "B D"]:
        """Return gamma times ``own`` plus what the histories hold."""
        table = self.history_table if self.own_history_table else self.item_table
        held = embedding(torch.from_numpy(bags.distinct).to(own.device), table, sparse=True)  # (S, D), each item once
        return self.gamma * own + (1 - self.gamma) * linear(self._pooled(own, held, bags), self.value)

    def _pooled(self, own: Float[Tensor, "B D"], held: Float[Tensor, "S D"], bags: Bags) -> Float[Tensor, "B D"]:
        places, starts = (torch.from_numpy(each).to(own.device) for each in (bags.places, bags.starts))
        if self.aggregation == "mean":
            return embedding_bag(places, held, starts, mode="mean")
        keys = torch.tanh(linear(held, self.key, self.key_bias))  # (S, D)
        asks = own if self.aggregation == "user_attention" else self.query.expand_as(own)
        return attention_pooling(asks, keys, held, places, starts)


def _uniform(rng: np.random.Generator, *shape: int) -> nn.Parameter:
    bound = shape[-1] ** -0.5
    values: NDArray[np.float32] = rng.uniform(-bound, bound, shape).astype(np.float32)
    return nn.Parameter(torch.from_numpy(values))
