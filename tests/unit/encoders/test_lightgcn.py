"""LightGCN against dense matrices, its penalty against a plain loop, and its training against whole tables."""

import numpy as np
import pytest
import torch
from plain_training import random_interactions

from multimargin.encoders import MF, LightGCN
from multimargin.encoders.base import Encoder
from multimargin.encoders.graphs import contrast
from multimargin.errors import ArgumentError
from multimargin.losses import BPRLoss, ReweightedSoftmaxLoss
from multimargin.negatives import DynamicNegatives, InBatchNegatives, UniformNegatives
from multimargin.train.loop import Trainer


def build(encoder, train, seed=0):
    encoder.build(train, rng=np.random.default_rng(seed))
    return encoder


def dense_layers(encoder, train, n):
    """Return layers 0 to n of users and items together, float64."""
    n_users, n_items = train.n_users, train.n_items
    matrix = torch.zeros((n_users + n_items,) * 2, dtype=torch.float64)
    for u, i in zip(train.user_index.tolist(), train.indices.tolist(), strict=True):
        matrix[u, n_users + i] = matrix[n_users + i, u] = (train.user_counts[u] * train.item_counts[i]) ** -0.5
    layers = [torch.cat((encoder.user_table, encoder.item_table)).detach().double()]
    for _ in range(n):
        layers.append(matrix @ layers[-1])
    return layers


@pytest.mark.parametrize("weights", [None, (0.5, 0.0, 0.25, 2.0)])
def test_tables_are_weighted_layers(small, weights):
    encoder = build(LightGCN(8, layer_weights=weights), small)
    layers = dense_layers(encoder, small, 3)
    expected = sum(w * layer for w, layer in zip(weights or (0.25,) * 4, layers, strict=True))
    found = torch.cat(encoder.tables())
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    users, items = torch.tensor([3, 0, 3]), torch.tensor([1, 4, 22])
    rows, item_rows = encoder.encode_batch(users, None, items)
    torch.testing.assert_close(rows.double(), expected[users], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(item_rows.double(), expected[small.n_users + items], rtol=1e-5, atol=1e-6)


def test_without_layers_it_is_mf(small):
    found, expected = (build(each, small).tables() for each in (LightGCN(8, layers=0), MF(8, init_std=0.1)))
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_the_penalty_is_that_of_layer_0(small):
    encoder = build(LightGCN(8, weight_decay=0.3), small)
    users, positives = torch.tensor([3, 1, 3]), torch.tensor([4, 4, 9])
    negatives = torch.tensor([[5, 9], [1, 1], [22, 0]])
    encoder.encode_batch(users, None, torch.unique(torch.cat((positives, negatives.flatten()))))
    found = encoder.auxiliary_loss(users, positives, negatives)
    expected = 0.0
    of_users, of_items = ([sum(x * x for x in row) for row in table.tolist()] for table in encoder.parameters())
    for u, i, row in zip(users.tolist(), positives.tolist(), negatives.tolist(), strict=True):
        expected += of_users[u] + of_items[i] + sum(of_items[j] for j in row) / 2
    assert found.item() == pytest.approx(0.3 * expected / 6, rel=1e-5)
    found.backward()
    torch.testing.assert_close(encoder.user_table.grad[3], 0.3 * 2 / 3 * encoder.user_table[3].detach())
    torch.testing.assert_close(encoder.item_table.grad[1], 0.3 / 3 * encoder.item_table[1].detach())


def test_the_penalty_of_shared_negatives_is_that_of_every_row(small):
    encoder = build(LightGCN(8, weight_decay=1.0), small)
    users, positives, pool = torch.tensor([3, 1]), torch.tensor([4, 9]), torch.tensor([5, 9, 1])
    values = []
    for negatives in (pool, pool.expand(2, 3)):
        encoder.encode_batch(users, None, torch.unique(torch.cat((positives, pool))))
        values.append(encoder.auxiliary_loss(users, positives, negatives).item())
    assert values[0] == pytest.approx(values[1])


class WholeTables(Encoder):
    """LightGCN as everybody writes it: all rows, then those of the batch."""

    similarity = "cosine"

    def __init__(self, inner):
        super().__init__()
        self.inner, self.similarity = inner, inner.similarity

    def build(self, train, *, rng):
        self.inner.build(train, rng=rng)

    def tables(self):
        return self.inner.tables()

    def auxiliary_loss(self, users, positives, negatives):
        table, items = self.inner.user_table, self.inner.item_table
        terms = table[users].square().sum(-1).mean(), items[positives].square().sum(-1).mean()
        return self.inner.weight_decay / 2 * (sum(terms) + items[negatives].square().sum(-1).mean())


@pytest.mark.parametrize("negatives", [UniformNegatives, InBatchNegatives, DynamicNegatives])
@pytest.mark.parametrize(("loss", "similarity"), [(BPRLoss, "dot"), (ReweightedSoftmaxLoss, "cosine")])
def test_trains_as_whole_tables_do(negatives, loss, similarity):
    histories = []
    for wrap in (lambda each: each, WholeTables):
        encoder = wrap(LightGCN(8, similarity=similarity, weight_decay=0.05))
        training = Trainer(n_negatives=4, batch_size=32, learning_rate=0.02, epochs=3, dropout=0.0).fit(
            random_interactions(), encoder=encoder, loss=loss(), negatives=negatives(), progress=False
        )
        histories.append([row["loss"] for row in training.history])
    assert histories[0] == pytest.approx(histories[1], rel=1e-4)
    assert histories[0][2] < histories[0][0]


def test_contrast_is_infonce():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 5, 3))
    expected = 0.0
    for a in range(5):
        cosines = [one[a] @ other[b] / np.linalg.norm(one[a]) / np.linalg.norm(other[b]) for b in range(5)]
        expected += np.log(sum(np.exp(c / 0.2) for c in cosines)) - cosines[a] / 0.2
    found = contrast(torch.from_numpy(one), torch.from_numpy(other), 0.2)
    assert found.item() == pytest.approx(expected / 5)


def test_arguments():
    with pytest.raises(ArgumentError, match=r"layer_weights must have 3 numbers, layers \+ 1; got 2"):
        LightGCN(layers=2, layer_weights=(1.0, 1.0))
    with pytest.raises(ArgumentError, match="layer_weights must not all be 0"):
        LightGCN(layers=1, layer_weights=(0.0, 0.0))
    with pytest.raises(ArgumentError, match="layers must be"):
        LightGCN(layers=-1)
