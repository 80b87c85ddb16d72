"""Encoders that make the vectors of a batch alone train as those that make whole tables."""

import pytest
import torch
from plain_training import random_interactions
from torch.nn.functional import embedding

from multimargin.encoders import MF
from multimargin.encoders.base import Encoder
from multimargin.errors import ArgumentError
from multimargin.losses import BPRLoss, MultiMarginLoss
from multimargin.losses.base import Loss
from multimargin.negatives import DynamicNegatives, SharedNegatives, UniformNegatives
from multimargin.rng import Streams
from multimargin.train.loop import Trainer


class ByBatch(Encoder):
    """What MF computes, made for a batch at a time; users are lazily moved rows."""

    similarity = "cosine"
    encodes_batches = True

    def __init__(self, *, items_are_table, by_user=False):
        super().__init__()
        self.items_are_table, self.by_user = items_are_table, by_user
        self.asked, self.randomness = [], []

    def build(self, train, *, rng):
        inner = MF(8, init_std=0.3)
        inner.build(train, rng=rng)
        self.user_table, self.item_table = inner.user_table, inner.item_table
        self._train = train

    def tables(self):
        assert not (self.training and torch.is_grad_enabled())  # a step asks for its batch
        return self.user_table, self.item_table

    def encode_users(self, users):
        return embedding(users, self.user_table, sparse=True)

    def encode_queries(self, users, interactions):
        assert (self._train.user_index[interactions.numpy()] == users.numpy()).all()
        self.asked.append(len(users))
        return self.encode_users(users)

    def encode_items(self, items):
        assert not self.items_are_table
        assert (items.diff() > 0).all()
        return self.item_table[items]

    def rows_read(self, users, items):
        return {self.user_table: users}

    def start_step(self, rng):
        self.randomness.append((rng.key, rng.offset))


class Penalised(MF):
    """MF with a penalty on the rows of the batch."""

    is_table = True

    def auxiliary_loss(self, users, positives, negatives):
        rows = (embedding(*each, sparse=True) for each in ((users, self.user_table), (negatives, self.item_table)))
        return 0.1 * next(rows).square().sum() + 0.2 * next(rows).square().mean()


class WithVectors(Loss):
    """Pulls together by scores and by vectors."""

    needs = frozenset({"user_vectors", "positive_vectors"})
    extra_positives = 2

    def forward(
        self, pos_scores, neg_scores, *, user_vectors, positive_vectors, extra_positive_scores, log_q=None, mask=None
    ):
        pulled = (user_vectors - positive_vectors).square().sum(-1).mean()
        return pulled + neg_scores.exp().mean() - pos_scores.mean() - extra_positive_scores.mean()


def fit(encoder, *, loss=None, negatives=None, **options):
    options = {"n_negatives": 6, "batch_size": 32, "learning_rate": 0.02, "epochs": 3, "dropout": 0.1} | options
    training = Trainer(**options, engine="steps", device="cpu").fit(
        random_interactions(), encoder=encoder, loss=loss or BPRLoss(), negatives=negatives or UniformNegatives(),
        progress=False,
    )  # fmt: skip
    return [row["loss"] for row in training.history], [table.detach() for table in encoder.eval().tables()]


@pytest.mark.parametrize("items_are_table", [True, False])
@pytest.mark.parametrize("loss", [BPRLoss, WithVectors])
@pytest.mark.parametrize("negatives", [UniformNegatives, SharedNegatives, DynamicNegatives])
def test_a_batch_at_a_time_is_what_whole_tables_are(items_are_table, loss, negatives):
    losses, tables = fit(MF(8, init_std=0.3), loss=loss(), negatives=negatives())
    encoder = ByBatch(items_are_table=items_are_table)
    found, others = fit(encoder, loss=loss(), negatives=negatives())
    assert found == pytest.approx(losses, rel=1e-5)
    for one, other in zip(tables, others, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=1e-4)
    looks = "scores" in negatives().needs  # and is told the scores of the same vectors
    assert sum(encoder.asked) == (1 + looks) * 3 * len(random_interactions())


def test_by_user_a_batch_holds_whole_users():
    encoder = ByBatch(items_are_table=True, by_user=True)
    fit(encoder, epochs=1)
    counts = random_interactions().user_counts
    assert sum(encoder.asked) == counts.sum()
    assert encoder.asked != [32] * len(encoder.asked)
    assert all(32 <= asked < 32 + counts.max() for asked in encoder.asked[:-1])


def test_randomness_of_a_step_is_fixed_by_seed_and_place():
    one, same, other = (ByBatch(items_are_table=True) for _ in range(3))
    fit(one)
    fit(same)
    fit(other, seed=1)
    assert one.randomness == same.randomness
    assert len(set(one.randomness)) == len(one.randomness)
    assert not set(one.randomness) & set(other.randomness)


def test_an_auxiliary_loss_is_added_and_has_a_gradient():
    plain, tables = fit(MF(8, init_std=0.3), learning_rate=0.01, epochs=1, batch_size=10**6)
    added, others = fit(Penalised(8, init_std=0.3), learning_rate=0.01, epochs=1, batch_size=10**6)
    start = MF(8, init_std=0.3)
    train = random_interactions()
    start.build(train, rng=Streams(0).generator("init"))
    penalty = 0.1 * start.user_table.detach()[train.user_index].square().sum().item()
    assert added[0] - plain[0] == pytest.approx(penalty, rel=0.05)
    assert others[0].norm() < 0.999 * tables[0].norm()
    with pytest.raises(ArgumentError, match="adds a loss of its own"):
        Trainer(epochs=1, n_negatives=2, engine="fused").fit(
            train, encoder=Penalised(8), loss=MultiMarginLoss(), negatives=UniformNegatives(), progress=False
        )
