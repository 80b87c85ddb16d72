"""One training epoch of LightGCN with BPR, three layers, against plain PyTorch.

* ``pytorch``: ``torch.sparse.mm`` of the whole graph for each layer, as LightGCN's own PyTorch code does (coordinates),
  layers stacked and averaged, rows gathered, autograd, dense ``torch.optim.Adam``; all cores.
* ``pytorch csr``: the same with compressed rows, which go to another library (MKL) and run on all cores.
* ``lightgcn``: ours through the general loop.

Turns are ``--steps`` steps, ours ``5 * --steps``, scaled to the epoch. The batch is ``--graph-batch-size``.
"""

import time
import warnings
from argparse import Namespace

import numpy as np
import torch
from data import Data
from torch.nn.functional import embedding, softplus
from turns import Op, Work

from multimargin.data.interactions import Interactions
from multimargin.encoders import LightGCN
from multimargin.kernels.threads import get_threads
from multimargin.losses import BPRLoss
from multimargin.negatives import UniformNegatives
from multimargin.optim import LazyAdam
from multimargin.train.engines import Setting, choose_engine

LAYERS, LEARNING_RATE, WEIGHT_DECAY, INIT_STD = 3, 1e-3, 1e-4, 0.1  # the published run's on Gowalla


class PlainLightGCN:
    """LightGCN by autograd through the whole graph, dense Adam, one uniform negative."""

    def __init__(self, train: Interactions, *, embedding_dim: int, batch_size: int, compressed: bool):
        torch.set_num_threads(get_threads())
        torch.manual_seed(0)
        self._users, self._items = (torch.from_numpy(x.astype(np.int64)) for x in (train.user_index, train.indices))
        self._n_users, self._n_items, self._batch_size = train.n_users, train.n_items, batch_size
        size = train.n_users + train.n_items
        self.table = torch.nn.Parameter(INIT_STD * torch.randn(size, embedding_dim))
        self._optimizer = torch.optim.Adam([self.table], lr=LEARNING_RATE)
        degrees = torch.from_numpy(np.concatenate((train.user_counts, train.item_counts))).clamp(min=1)
        ends = torch.stack((self._users, self._items + train.n_users))
        index = torch.cat((ends, ends.flip(0)), dim=1)
        values = (degrees[index[0]] * degrees[index[1]]).float().rsqrt()
        graph = torch.sparse_coo_tensor(index, values, (size, size), check_invariants=False).coalesce()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            self._graph = graph.to_sparse_csr() if compressed else graph

    def epoch(self) -> list[torch.Tensor]:
        """Return the batches of an epoch, each the places of its pairs."""
        return list(torch.randperm(len(self._users)).split(self._batch_size))

    def tables(self) -> torch.Tensor:
        """Return all users' and items' vectors."""
        layers = [self.table]
        for _ in range(LAYERS):
            layers.append(torch.sparse.mm(self._graph, layers[-1]))
        return torch.stack(layers).mean(0)

    def step(self, pairs: torch.Tensor) -> float:
        """Take a step; return its loss."""
        users, positives = self._users[pairs], self._n_users + self._items[pairs]  # (B,)
        negatives = self._n_users + torch.randint(self._n_items, (len(pairs),))  # (B,)
        tables = self.tables()
        user, positive, negative = (embedding(rows, tables) for rows in (users, positives, negatives))  # (B, D)
        loss = softplus((user * negative).sum(-1) - (user * positive).sum(-1)).mean()
        first = (embedding(rows, self.table).square().sum() for rows in (users, positives, negatives))
        loss = loss + WEIGHT_DECAY / 2 / len(pairs) * sum(first)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.item()


def by_pytorch(data: Data, arguments: Namespace) -> Work:
    model = PlainLightGCN(
        data.train, embedding_dim=arguments.embedding_dim, batch_size=arguments.graph_batch_size,
        compressed="csr" in arguments.worker,
    )  # fmt: skip

    def some_steps() -> tuple[float, str]:
        batches = model.epoch()
        chosen = batches[: arguments.steps]
        started = time.perf_counter()
        for pairs in chosen:
            model.step(pairs)
        return (time.perf_counter() - started) * len(batches) / len(chosen), ""

    return Work(_settings(arguments), some_steps)


def by_us(data: Data, arguments: Namespace) -> Work:
    train, negatives = data.train, UniformNegatives()
    encoder = LightGCN(
        arguments.embedding_dim, layers=LAYERS, similarity="dot", init_std=INIT_STD, weight_decay=WEIGHT_DECAY
    )
    encoder.build(train, rng=np.random.default_rng(0))
    negatives.build(train)
    setting = Setting(
        train=train, encoder=encoder, loss=BPRLoss(), negatives=negatives,
        optimizer=LazyAdam(encoder.parameters(), lr=LEARNING_RATE), n_negatives=1,
        batch_size=arguments.graph_batch_size, clip_norm=None, dropout=0.0, negatives_key=1, dropout_key=2,
        positives_key=3, encoder_key=4,
    )  # fmt: skip
    engine, rng, place = choose_engine("auto", setting), np.random.default_rng(1), 0

    def some_steps() -> tuple[float, str]:
        nonlocal place
        order = rng.permutation(len(train))[: 5 * arguments.steps * arguments.graph_batch_size]
        started = time.perf_counter()
        engine.run(order, 0, len(order), place=place)
        place += len(order)
        return (time.perf_counter() - started) * len(train) / len(order), ""

    return Work(_settings(arguments), some_steps)


def _settings(arguments: Namespace) -> str:
    return f"D={arguments.embedding_dim} B={arguments.graph_batch_size} N=1 L={LAYERS}"


OP = Op(implementations={"pytorch": by_pytorch, "pytorch csr": by_pytorch, "lightgcn": by_us})
