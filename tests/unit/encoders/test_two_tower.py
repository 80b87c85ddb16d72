"""Two towers against plain loops; what it is without layers; newcomers; what a step reads."""

import numpy as np
import polars as pl
import pytest
import torch
from plain_training import random_interactions

import multimargin as mm
from multimargin.data.synthetic import make_blocks
from multimargin.encoders import MF, TwoTower
from multimargin.errors import ArgumentError
from multimargin.losses import BPRLoss
from multimargin.negatives import UniformNegatives
from multimargin.rng import CounterRng
from multimargin.train.loop import Trainer


@pytest.fixture
def item_features(small):
    """Numbers, text and several values for all items but one, and for two new ones."""
    ids = [*small.items.series.to_list()[:-1], 500, 501]
    rng = np.random.default_rng(5)
    return pl.DataFrame(
        {
            "item_id": ids,
            "price": rng.random(len(ids)),
            "kind": rng.choice(["book", "film"], len(ids)),
            "tags": [["x", "y"][: n % 3] for n in range(len(ids))],
        }
    )


def built(train, **options):
    encoder = TwoTower(6, **{"hidden": (5,)} | options)
    encoder.build(train, rng=np.random.default_rng(0))
    return encoder.double()


def plain_vector(tower, id_row, features):
    """Return a vector by a loop over its features, names and weights."""
    x = tower.ids[id_row]
    for name, weight in features.items():
        x = x + weight * tower.values[tower.features.names.index(name)]
    y = tower.weights[1] @ (tower.weights[0] @ x + tower.biases[0]).relu() + tower.biases[1]
    return x + y


def features_of(tower, row):
    if row < 0:
        return {}
    matrix = tower.features
    places = range(matrix.indptr[row], matrix.indptr[row + 1])
    return {matrix.names[matrix.columns[place]]: float(matrix.weights[place]) for place in places}


def test_vectors_are_those_of_a_loop(small, item_features):
    encoder = built(small, item_features=item_features).eval()
    found = encoder.tables()[1]
    for item, row in enumerate([*range(22), -1]):
        expected = plain_vector(
            encoder.items, item + 1 if small.item_counts[item] else 0, features_of(encoder.items, row)
        )
        torch.testing.assert_close(found[item], expected)
    assert not encoder.items.features.names[0].startswith("item_id")


def test_newcomers_share_an_id_and_differ_by_features(small, item_features):
    encoder = built(small, item_features=item_features).eval()
    ids, vectors = encoder.new_items()
    assert ids.to_list() == [500, 501]
    for vector, row in zip(vectors, (22, 23), strict=True):
        torch.testing.assert_close(vector, plain_vector(encoder.items, 0, features_of(encoder.items, row)))
    assert encoder.new_users() is None
    assert TwoTower(4).build(small, rng=np.random.default_rng(0)) is None


def test_an_item_without_interactions_has_no_id_of_its_own(small):
    alone = small.select(small.indices != 7)
    encoder = built(alone).eval()
    unknown = plain_vector_without_features(encoder.items, 0)
    torch.testing.assert_close(encoder.tables()[1][7], unknown)
    assert not torch.allclose(encoder.tables()[1][8], unknown)


def plain_vector_without_features(tower, id_row):
    x = tower.ids[id_row]
    return x + tower.weights[1] @ (tower.weights[0] @ x + tower.biases[0]).relu() + tower.biases[1]


def test_ids_are_dropped_in_training_where_there_are_features(small, item_features):
    encoder = built(small, item_features=item_features, id_dropout=0.5)
    items = torch.arange(23)
    whole = encoder.eval().encode_items(items)
    encoder.train()
    encoder.start_step(CounterRng(7, 3))
    found = encoder.encode_items(items)
    dropped = [item for item in range(23) if not torch.allclose(found[item], whole[item])]
    assert 4 <= len(dropped) <= 19
    assert 22 not in dropped  # it has no features
    for item in dropped:
        torch.testing.assert_close(found[item], plain_vector(encoder.items, 0, features_of(encoder.items, item)))
    encoder.start_step(CounterRng(7, 3))
    assert torch.equal(encoder.encode_items(items), found)
    users = torch.arange(12)
    assert torch.equal(encoder.encode_queries(users, users), encoder.encode_users(users))  # users have no features


def test_gradients_reach_every_parameter(small, item_features):
    encoder = built(small, item_features=item_features)
    sum(table.square().sum() for table in encoder.tables()).backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.to_dense().abs().sum() > 0, name


def train(encoder, data, **options):
    options = {"n_negatives": 6, "batch_size": 32, "learning_rate": 0.02, "epochs": 3, "dropout": 0.0} | options
    training = Trainer(**options, device="cpu", engine="steps").fit(
        data, encoder=encoder, loss=BPRLoss(), negatives=UniformNegatives(), progress=False
    )
    return [row["loss"] for row in training.history], [table.detach() for table in encoder.eval().tables()]


class Tables(MF):
    """MF from the tables that two towers without layers begin with."""

    def build(self, train, *, rng):
        like = TwoTower(8, hidden=(), init_std=0.3)
        like.build(train, rng=rng)
        tables = like.tables()
        self.user_table, self.item_table = (torch.nn.Parameter(table.detach().clone()) for table in tables)


def test_without_layers_and_features_it_is_mf():
    data = random_interactions(n_items=30, per_user=10)
    assert data.item_counts.all()  # else some share a row
    assert data.user_counts.all()
    losses, tables = train(Tables(8), data)
    found, others = train(TwoTower(8, hidden=(), init_std=0.3), data)
    assert found == pytest.approx(losses, rel=1e-5)
    for one, other in zip(tables, others, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("hidden", [(), (32,)])
def test_a_new_item_is_recommended_to_whom_it_suits(hidden):
    split = make_blocks(4, 20, 8, rng=1)
    ids = [*split.train.items.series.to_list(), "new-0", "new-3"]
    frame = pl.DataFrame({"item_id": ids, "block": [*np.repeat(range(4), 8).tolist(), 0, 3]})
    encoder = TwoTower(16, item_features=frame, categorical=["block"], id_dropout=0.3, hidden=hidden)
    options = {"n_negatives": 8, "learning_rate": 0.02, "batch_size": 64, "epochs": 20, "dropout": 0.0}
    negatives, loss = UniformNegatives(exclude_seen=True), mm.SampledSoftmaxLoss()
    model = mm.fit(split.train, encoder=encoder, loss=loss, negatives=negatives, progress=False, **options)
    assert model.items.series.to_list()[-2:] == ["new-0", "new-3"]
    lists = model.recommend(k=3)
    for new, wanted in (("new-0", 0), ("new-3", 3)):
        users = model.users.indices(lists.filter(pl.col("item_id") == new)["user_id"])
        assert len(users) >= 15
        assert (users // 20 == wanted).mean() > 0.9


def test_bad_arguments(small, item_features):
    with pytest.raises(
        ArgumentError, match=r"categorical must be of the columns price, kind, tags; got 'knd'. Did you"
    ):
        built(small, item_features=item_features, categorical=["knd"])
    with pytest.raises(ArgumentError, match="id_dropout"):
        TwoTower(id_dropout=1.0)
    with pytest.raises(ArgumentError, match="hidden must be 1 or more"):
        TwoTower(hidden=(0,))
