"""A new user's vector, from what a saved model holds, against that of a user in training with the same items."""

import numpy as np
import polars as pl
import pytest
import torch
from plain_training import random_interactions

import multimargin as mm
from multimargin.encoders import ENCODERS, LightGCN, SASRec, SimGCL, XSimGCL
from multimargin.encoders.pooling import mean_direction


def built(encoder, train):
    encoder.build(train, rng=np.random.default_rng(0))
    with torch.no_grad():  # else norms and shifts play no part
        for parameter in encoder.parameters():
            parameter += torch.from_numpy(np.random.default_rng(1).normal(0, 0.1, parameter.shape).astype(np.float32))
    return encoder.eval()


def folded(encoder, items):
    return encoder.fold_in().vector(items, encoder.tables()[1].detach().numpy()[items])


@pytest.mark.parametrize("make", [SimGCL, XSimGCL, lambda dim: LightGCN(dim, layer_weights=(0.0, 0.5, 0.2, 0.3))])
def test_a_row_of_the_graph_without_layer_0_is_that_of_a_known_user(small, make):
    encoder = built(make(8), small)
    users = encoder.tables()[0].detach().numpy()
    for user in np.flatnonzero(small.user_counts):
        np.testing.assert_allclose(folded(encoder, small.items_of(user)), users[user], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weights", [None, (0.7, 0.2, 0.1), (1.0,)])
def test_a_row_of_the_graph_has_the_mean_direction_in_layer_0(small, weights):
    encoder = built(LightGCN(8, layers=3 if weights is None else len(weights) - 1, layer_weights=weights), small)
    users, items = (table.detach().numpy() for table in encoder.tables())
    own = encoder.user_table.detach()
    length = float(own.norm(dim=-1).median())
    for user in (1, 5, 9):
        mine = small.items_of(user)
        stands_in = length * mean_direction(items[mine])
        expected = users[user] + encoder.layer_weights[0] * (stands_in - own[user].numpy())
        np.testing.assert_allclose(folded(encoder, mine), expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(folded(encoder, np.append(mine, mine[:1])), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("longest", [50, 6, 1])
@pytest.mark.parametrize("n_heads", [1, 2])
def test_a_history_is_read_as_that_of_a_known_user(timed, longest, n_heads):
    encoder = built(SASRec(6, max_length=longest, n_heads=n_heads, inner_dim=5, init_std=0.5), timed)
    users = encoder.tables()[0].detach().numpy()
    for user in np.flatnonzero(timed.user_counts):
        own = slice(timed.indptr[user], timed.indptr[user + 1])
        items = timed.indices[own][np.argsort(timed.timestamps[own], kind="stable")]
        np.testing.assert_allclose(folded(encoder, items), users[user], rtol=1e-4, atol=1e-5)
        again = np.append(items, items[:2])  # counts where it was first
        assert np.array_equal(folded(encoder, again), folded(encoder, items))


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_a_saved_model_folds_in_as_before(tmp_path, name):
    encoder = ENCODERS[name]()
    options = {"epochs": 1, "n_negatives": 4, "batch_size": 512, "progress": False}
    model = mm.fit(random_interactions(timed=True), encoder=encoder, **options)
    model.save(tmp_path)
    history = [8, 3, 5]
    loaded = mm.load(tmp_path)
    assert np.array_equal(loaded.fold_in(history), model.fold_in(history))
    assert loaded.recommend_for(history, k=4).equals(model.recommend_for(history, k=4))
    assert model.recommend_for(history, k=2, items=[4, 6])["item_id"].is_in([4, 6]).all()


def test_a_frame_with_times_is_read_in_their_order():
    encoder = SASRec(8, init_std=0.3)
    options = {"epochs": 1, "n_negatives": 4, "progress": False}
    model = mm.fit(random_interactions(timed=True), encoder=encoder, **options)
    frame = pl.DataFrame({"item_id": [3, 8, 5], "timestamp": [7, 2, 9]})
    assert np.array_equal(model.fold_in(frame), model.fold_in([8, 3, 5]))
    assert not np.array_equal(model.fold_in(frame), model.fold_in([3, 8, 5]))
    assert np.array_equal(model.fold_in(frame.drop("timestamp")), model.fold_in([3, 8, 5]))
