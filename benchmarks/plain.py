"""The PyTorch that everybody writes first: what ours is compared with."""

from collections.abc import Iterator

import numpy as np
import torch
from data import Data, Tables
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions
from multimargin.kernels.threads import get_threads
from multimargin.losses import MultiMarginLoss


class PlainMF:
    """Matrix factorisation by autograd and dense Adam, uniform negatives, the Multi-Margin Loss."""

    def __init__(
        self,
        train: Interactions,
        *,
        embedding_dim: int,
        init_std: float,
        loss: MultiMarginLoss,
        n_negatives: int,
        batch_size: int,
        learning_rate: float,
        clip_norm: float | None,
        dropout: float,
    ):
        torch.set_num_threads(get_threads())
        torch.manual_seed(0)
        self.user_table, self.item_table = (
            torch.nn.Parameter(init_std * torch.randn(rows, embedding_dim)) for rows in (train.n_users, train.n_items)
        )
        self._parameters = [self.user_table, self.item_table]
        self._optimizer = torch.optim.Adam(self._parameters, lr=learning_rate)
        self._users, self._items = (torch.from_numpy(x.astype(np.int64)) for x in (train.user_index, train.indices))
        self._loss, self._n_negatives, self._batch_size = loss, n_negatives, batch_size
        self._clip_norm, self._dropout = clip_norm, dropout

    def epoch(self) -> Iterator[torch.Tensor]:
        """Return the batches of an epoch, each the places of its pairs."""
        return iter(torch.randperm(len(self._users)).split(self._batch_size))

    def set_rate(self, learning_rate: float) -> None:
        """Go on with another learning rate."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate

    def step(self, pairs: torch.Tensor) -> None:
        users, positives = self._users[pairs], self._items[pairs]  # (B,)
        negatives = torch.randint(len(self.item_table), (len(pairs), self._n_negatives))  # (B, N)
        query = torch.nn.functional.embedding(users, self.user_table)  # (B, D)
        positive = torch.nn.functional.embedding(positives, self.item_table)  # (B, D)
        negative = torch.nn.functional.embedding(negatives, self.item_table)  # (B, N, D)
        query, positive, negative = (torch.nn.functional.normalize(x, dim=-1) for x in (query, positive, negative))
        query = torch.nn.functional.dropout(query, self._dropout)
        neg_scores = torch.bmm(negative, query[:, :, None]).squeeze(-1)  # (B, N)
        loss = self._loss
        push = sum(w * (neg_scores - m).relu() for m, w in zip(loss.margins, loss.margin_weights, strict=True))
        pull = (1 - (query * positive).sum(-1)).relu()  # (B,)
        value = (loss.pos_weight * pull + loss.neg_weight * push.mean(-1)).mean()
        self._optimizer.zero_grad()
        value.backward()
        if self._clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        self._optimizer.step()
        value.item()


def rank(tables: Tables, train: Interactions, k: int, *, block: int, keep_buffer: bool = False) -> NDArray[np.int64]:
    """Return everybody's k best unseen items: multiply, mask, ``topk``, a block of users after the other."""
    torch.set_num_threads(get_threads())
    user_table, item_table = map(torch.from_numpy, tables)
    rows, columns = (torch.from_numpy(x.astype(np.int64)) for x in (train.user_index, train.indices))
    index = np.empty((len(user_table), k), dtype=np.int64)
    buffer = torch.empty(block, len(item_table)) if keep_buffer else None
    for start in range(0, len(user_table), block):
        part = user_table[start : start + block]
        scores = torch.mm(part, item_table.t(), out=None if buffer is None else buffer[: len(part)])
        first, last = train.indptr[start], train.indptr[min(start + block, len(user_table))]
        scores[rows[first:last] - start, columns[first:last]] = -torch.inf
        index[start : start + len(part)] = scores.topk(k).indices.numpy()
    return index


def metrics(index: NDArray[np.int64], data: Data) -> dict[str, float]:
    """Return the six metrics of lists ``index``, as ``multimargin.evaluate.metrics`` defines them."""
    users = np.flatnonzero(data.test.user_counts)
    relevant, k = data.test.user_counts[users], index.shape[1]
    keys = data.test.user_index.astype(np.int64) * data.test.n_items + data.test.indices
    hits = np.isin(users[:, None] * data.test.n_items + index[users], keys)  # (users, k)
    places = np.arange(1, k + 1)
    gains, found = 1 / np.log2(places + 1), hits.cumsum(axis=1)
    reachable = np.minimum(relevant, k)
    per_user = {
        "Recall": found[:, -1] / relevant,
        "NDCG": (hits @ gains) / gains.cumsum()[reachable - 1],
        "Precision": found[:, -1] / k,
        "HitRate": found[:, -1] > 0,
        "MRR": np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0),
        "MAP": (hits * found / places).sum(axis=1) / reachable,
    }
    return {f"{name}@{k}": float(values.mean()) for name, values in per_user.items()}
