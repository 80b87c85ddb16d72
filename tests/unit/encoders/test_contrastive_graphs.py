"""SimGCL and XSimGCL against dense layers with the same noise, contrast and penalty by plain loops."""

import numpy as np
import pytest
import torch

from multimargin.encoders import LightGCN, SimGCL, XSimGCL
from multimargin.encoders.graphs import noise_keys
from multimargin.errors import ArgumentError
from multimargin.kernels.propagation import Graph, Noise, propagate_rows
from multimargin.rng import CounterRng

USERS, POSITIVES, NEGATIVES = (
    torch.tensor([3, 1, 3, 7]),
    torch.tensor([4, 4, 9, 2]),
    torch.tensor([[5], [9], [22], [0]]),
)
ITEMS = torch.unique(torch.cat((POSITIVES, NEGATIVES.flatten())))


def build(kind, train, **arguments):
    encoder = kind(8, **{"similarity": "dot", "init_std": 0.3} | arguments)
    encoder.build(train, rng=np.random.default_rng(0))
    return encoder


def infonce(one, other, temperature):
    """Return InfoNCE, pair by pair."""
    total = 0.0
    for a in range(len(one)):
        cosines = [one[a] @ v / np.linalg.norm(one[a]) / np.linalg.norm(v) for v in other]
        total += np.log(sum(np.exp(c / temperature) for c in cosines)) - cosines[a] / temperature
    return total / len(one)


def penalty(encoder):
    """Return half the squared length of layer 0, row by row."""
    total = 0.0
    of_users, of_items = ([sum(x * x for x in row) for row in table.tolist()] for table in encoder.parameters())
    for u, i, j in zip(USERS.tolist(), POSITIVES.tolist(), NEGATIVES.flatten().tolist(), strict=True):
        total += (of_users[u] + of_items[i] + of_items[j]) / 2 / len(USERS)
    return total


def layers_of(encoder, train, key):
    """Return the noisy layers 1 to 3 of all users and all items, by the reference in float64."""
    graph = Graph.of(train.indptr, train.indices, train.n_items)
    tables = [table.detach().double() for table in encoder.parameters()]
    everybody, everything = torch.arange(train.n_users), torch.arange(train.n_items)
    found = propagate_rows(
        graph, *tables, everybody, everything, (0, 1, 1, 1), kept=(1, 2, 3), noise=Noise(encoder.noise, key)
    )
    return [[side.numpy() for side in layer] for layer in found[1:]]


@pytest.mark.parametrize("kind", [SimGCL, XSimGCL])
def test_what_is_ranked_is_the_mean_of_layers_without_layer_0(kind, small):
    encoder, plain = build(kind, small), build(LightGCN, small, layer_weights=(0.0, 1 / 3, 1 / 3, 1 / 3))
    encoder.start_step(CounterRng(5, 2))
    for one, other in zip(encoder.eval().tables(), plain.tables(), strict=True):
        torch.testing.assert_close(one, other)
    rows, item_rows = encoder.encode_batch(USERS, None, ITEMS)
    torch.testing.assert_close(rows, plain.tables()[0][USERS])
    torch.testing.assert_close(item_rows, plain.tables()[1][ITEMS])


def test_xsimgcl_scores_noisy_means_and_contrasts_them_with_a_layer(small):
    encoder = build(XSimGCL, small, weight_decay=0.1, contrast_weight=0.7, contrast_layer=2)
    rng = CounterRng(5, 32)
    encoder.start_step(rng)
    rows, item_rows = encoder.encode_batch(USERS, None, ITEMS)
    layers = layers_of(encoder, small, noise_keys(rng)[0])
    users, items = (sum(layer[side] for layer in layers) / 3 for side in (0, 1))
    np.testing.assert_allclose(rows.detach(), users[USERS], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(item_rows.detach(), items[ITEMS], rtol=1e-4, atol=1e-5)
    u, i = np.unique(USERS), np.unique(POSITIVES)
    expected = infonce(users[u], layers[1][0][u], 0.15) + infonce(items[i], layers[1][1][i], 0.15)
    found = encoder.auxiliary_loss(USERS, POSITIVES, NEGATIVES)
    assert found.item() == pytest.approx(0.7 * expected + 0.1 * penalty(encoder), rel=1e-4)
    found.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in encoder.parameters())


def test_simgcl_scores_clean_means_and_contrasts_two_noisy_ones(small):
    encoder = build(SimGCL, small, weight_decay=0.1, contrast_weight=0.7)
    rng = CounterRng(5, 32)
    encoder.start_step(rng)
    encoder.encode_batch(USERS, None, ITEMS)
    one, other = (
        [sum(layer[side] for layer in layers_of(encoder, small, key)) / 3 for side in (0, 1)] for key in noise_keys(rng)
    )
    assert not np.allclose(one[0], other[0])
    u, i = np.unique(USERS), np.unique(POSITIVES)
    expected = infonce(one[0][u], other[0][u], 0.2) + infonce(one[1][i], other[1][i], 0.2)
    found = encoder.auxiliary_loss(USERS, POSITIVES, NEGATIVES)
    assert found.item() == pytest.approx(0.7 * expected + 0.1 * penalty(encoder), rel=1e-4)


def test_noise_is_new_in_every_step_and_the_same_for_the_same():
    keys = [noise_keys(CounterRng(5, place)) for place in (0, 1, 32)]
    assert len({key for pair in keys for key in pair}) == 6
    assert noise_keys(CounterRng(5, 1)) == keys[1]
    assert noise_keys(CounterRng(6, 1)) != keys[1]


def test_arguments():
    with pytest.raises(ArgumentError, match="contrast_layer must be at most layers, 2; got 3"):
        XSimGCL(layers=2, contrast_layer=3)
    with pytest.raises(ArgumentError, match="layers must be"):
        SimGCL(layers=0)
    with pytest.raises(ArgumentError, match="noise must be"):
        XSimGCL(noise=0.0)
