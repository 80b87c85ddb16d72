"""SimpleX against plain loops over users and their items; what it is with gamma = 1; what a step reads."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_training import random_interactions
from torch.nn.functional import linear, normalize

import multimargin as mm
from multimargin.encoders import MF, SimpleX
from multimargin.errors import ArgumentError
from multimargin.losses import CosineContrastiveLoss
from multimargin.negatives import UniformNegatives
from multimargin.train.loop import Trainer

AGGREGATIONS = ["mean", "user_attention", "self_attention"]


def built(train, **options):
    encoder = SimpleX(6, init_std=0.5, **{"gamma": 0.7} | options)
    encoder.build(train, rng=np.random.default_rng(0))
    return encoder.double().eval()


def plain_vector(encoder, user, items):
    """Return one user's vector, item by item."""
    table = encoder.history_table if encoder.own_history_table else encoder.item_table
    own = encoder.user_table[user]
    if not items:
        return encoder.gamma * own
    scores = []
    for item in items:
        if encoder.aggregation == "mean":
            scores.append(torch.zeros(()))
        else:
            key = torch.tanh(encoder.key @ table[item] + encoder.key_bias)
            scores.append(key @ (own if encoder.aggregation == "user_attention" else encoder.query[0]))
    weights = [score.exp() / sum(each.exp() for each in scores) for score in scores]
    pooled = sum(weight * table[item] for weight, item in zip(weights, items, strict=True))
    return encoder.gamma * own + (1 - encoder.gamma) * encoder.value @ pooled


@pytest.mark.parametrize("own_history_table", [True, False])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
class TestVectors:
    def test_are_those_of_a_loop(self, small, aggregation, own_history_table):
        encoder = built(small, aggregation=aggregation, own_history_table=own_history_table)
        expected = torch.stack([plain_vector(encoder, user, small.items_of(user).tolist()) for user in range(12)])
        torch.testing.assert_close(encoder.tables()[0], expected)
        wanted = torch.tensor([5, 0, 1, 5])
        torch.testing.assert_close(encoder.encode_users(wanted), expected[wanted])

    def test_leave_out_the_positive_where_asked(self, small, aggregation, own_history_table):
        options = {"aggregation": aggregation, "own_history_table": own_history_table}
        interactions = torch.tensor([small.indptr[1] + 3, small.indptr[5], small.indptr[1]])
        users = torch.from_numpy(small.user_index[interactions.numpy()].astype(np.int64))
        encoder = built(small, leave_out_positive=True, **options)
        for row, user, interaction in zip(
            encoder.encode_queries(users, interactions), users.tolist(), interactions.tolist(), strict=True
        ):
            items = [item for item in small.items_of(user).tolist() if item != small.indices[interaction]]
            torch.testing.assert_close(row, plain_vector(encoder, user, items))
        kept = built(small, **options)
        torch.testing.assert_close(kept.encode_queries(users, interactions), kept.encode_users(users))

    def test_gradients_are_those_of_the_loop(self, small, aggregation, own_history_table):
        encoder = built(small, aggregation=aggregation, own_history_table=own_history_table)
        upstream = torch.from_numpy(np.random.default_rng(1).standard_normal((12, 6)))
        found = {}
        for way in ("ours", "loop"):
            encoder.zero_grad()
            users = encoder.tables()[0]
            if way == "loop":
                users = torch.stack([plain_vector(encoder, u, small.items_of(u).tolist()) for u in range(12)])
            (users * upstream).sum().backward()
            found[way] = {name: p.grad.to_dense() for name, p in encoder.named_parameters() if p.grad is not None}
        assert found["ours"].keys() == found["loop"].keys()
        for name, expected in found["loop"].items():
            torch.testing.assert_close(found["ours"][name], expected, msg=name)


def test_the_compiled_pooling_is_used_in_float32(small):
    encoder = built(small, aggregation="user_attention")
    expected = encoder.tables()[0]
    torch.testing.assert_close(encoder.float().tables()[0].double(), expected, rtol=1e-5, atol=1e-6)


def test_a_long_history_is_shortened(small):
    encoder = built(small, max_history=4)
    items = encoder._histories.of(np.array([1])).items.tolist()
    assert len(items) == 4
    torch.testing.assert_close(encoder.tables()[0][1], plain_vector(encoder, 1, items))


def train(encoder, **options):
    options = {"n_negatives": 6, "batch_size": 32, "learning_rate": 0.02, "epochs": 3, "weight_decay": 1e-3} | options
    training = Trainer(**options, device="cpu").fit(
        random_interactions(), encoder=encoder, loss=CosineContrastiveLoss(margin=0.2), negatives=UniformNegatives(),
        progress=False,
    )  # fmt: skip
    return [row["loss"] for row in training.history], encoder.eval().tables()


@pytest.mark.parametrize("engine", ["auto", "steps"])
def test_with_gamma_1_it_is_mf(engine):
    losses, tables = train(MF(8, init_std=0.3), engine=engine)
    found, others = train(SimpleX(8, gamma=1.0, init_std=0.3), engine=engine)
    assert found == losses
    assert all(torch.equal(one, other) for one, other in zip(tables, others, strict=True))


class WholeTables(SimpleX):
    """The same, with dense gradients of whole tables."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.encodes_batches = self.items_are_table = False

    def tables(self):
        table = self.history_table if self.own_history_table else self.item_table
        rows = []
        for user, own in enumerate(self.user_table):
            items = torch.from_numpy(self._histories.of(np.array([user])).items)
            pooled = table[items].mean(0) if len(items) else torch.zeros_like(own)
            rows.append(self.gamma * own + (1 - self.gamma) * linear(pooled, self.value))
        return torch.stack(rows), self.item_table


@pytest.mark.parametrize("own_history_table", [True, False])
def test_a_step_reads_and_moves_the_rows_that_dense_adam_would(own_history_table):
    options = {"gamma": 0.6, "own_history_table": own_history_table, "init_std": 0.3}
    losses, tables = train(WholeTables(8, **options), epochs=2, weight_decay=0.0)
    found, others = train(SimpleX(8, **options), epochs=2, weight_decay=0.0)
    assert found == pytest.approx(losses, rel=1e-5)
    for one, other in zip(tables, others, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("own_history_table", [True, False])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_new_user_is_pooled_as_a_known_one(small, aggregation, own_history_table):
    encoder = built(small, aggregation=aggregation, own_history_table=own_history_table)
    items = torch.from_numpy(small.items_of(5).astype(np.int64))
    mean = normalize(encoder.item_table[items], dim=-1).mean(0)
    length = encoder.user_table.detach().norm(dim=-1).median()
    with torch.no_grad():
        encoder.user_table[5] = length * mean / mean.norm()  # as if training had ended there
    expected = plain_vector(encoder, 5, items.tolist())
    pooling = replace(encoder.fold_in(), length=float(length))  # what is set above moved the median
    vectors = encoder.item_table.detach().float().numpy()[items.numpy()]
    found = torch.from_numpy(pooling.vector(items.numpy(), vectors)).double()
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-6)
    assert SimpleX(4, gamma=1.0).fold_in() is None


@pytest.mark.parametrize("popularity", [0.0, 0.02])
def test_a_saved_model_folds_in_as_before(tmp_path, popularity):
    data = random_interactions()
    encoder = SimpleX(8, aggregation="user_attention", init_std=0.3)
    options = {"epochs": 1, "n_negatives": 4, "progress": False, "popularity": popularity}
    model = mm.fit(data, encoder=encoder, **options)
    model.save(tmp_path)
    vector = model.fold_in([3, 5, 8])
    assert np.array_equal(mm.load(tmp_path).fold_in([3, 5, 8]), vector)
    assert model.recommend_for([3, 5, 8], k=4).equals(mm.load(tmp_path).recommend_for([3, 5, 8], k=4))
    direction = vector / np.linalg.norm(vector)
    items = model.items.indices([3, 5, 8])
    wanted = encoder.fold_in().vector(items, model.item_table[items])
    assert np.allclose(direction, wanted / np.linalg.norm(wanted), atol=1e-6)
    assert np.linalg.norm(vector) == pytest.approx(1.0) or not popularity
    assert model.recommend_for([3], k=2, items=[4, 6])["item_id"].is_in([4, 6]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 1.5}, "gamma must be at least 0"),
        ({"aggregation": "max"}, "aggregation must be one of mean"),
        ({"max_history": 0}, "max_history must be 1 or more"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ArgumentError, match=message):
        SimpleX(**options)
