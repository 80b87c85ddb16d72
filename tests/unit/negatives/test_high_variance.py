"""SRNS against plain loops: what is drawn, what is remembered, and the spread over past epochs."""

import numpy as np
import pytest
import scipy.stats

from multimargin.errors import ArgumentError
from multimargin.negatives import HighVarianceNegatives, SharedNegatives, UniformNegatives
from multimargin.negatives.past import PastTables
from multimargin.negatives.user_memory import UserMemory
from multimargin.rng import CounterRng

USERS, POSITIVES = np.array([5, 2, 0, 5, 4]), np.array([1, 4, 7, 9, 2])


def tables(small, seed):
    rng = np.random.default_rng(seed)
    return {
        "user_vectors": rng.standard_normal((small.n_users, 5)).astype(np.float32),
        "item_vectors": rng.standard_normal((small.n_items, 5)).astype(np.float32),
    }


def scorer_of(vectors):
    """Return the scorer of tables, pair by pair."""

    def score(users, items):
        items = np.broadcast_to(items, (len(users), items.shape[-1]))
        each = [
            [vectors["user_vectors"][user] @ vectors["item_vectors"][item] for item in row]
            for user, row in zip(users, items, strict=True)
        ]
        return np.array(each, dtype=np.float32).reshape(items.shape)

    return score


def trained(sampler, small, epochs):
    """Return the sampler at the start of the last of ``epochs``, and the model's tables then."""
    sampler.build(small)
    for epoch in range(epochs):
        sampler.start_epoch(epoch, rng=CounterRng(1, epoch), **tables(small, epoch))
    return sampler, tables(small, epochs - 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def spread_by_hand(small, epochs, user, positive, item):
    """Return the deviation over the last five epochs but the first, in which nothing is learned."""
    found = []
    for epoch in [epoch for epoch in range(epochs) if epoch > 0][-5:]:
        score = scorer_of(tables(small, epoch))
        own, other = score(np.array([user]), np.array([[positive, item]]))[0]
        found.append(sigmoid(float(other) - float(own)))
    return float(np.std(found)) if found else 0.0


@pytest.mark.parametrize("epochs", [1, 2, 3, 6, 9])
def test_the_spread_is_that_of_five_epochs(small, epochs):
    sampler, _ = trained(HighVarianceNegatives(), small, epochs)
    index = np.random.default_rng(3).integers(0, small.n_items, (5, 4))
    found = sampler._past.spread(USERS, POSITIVES, index)
    for (b, c), item in np.ndenumerate(index):
        expected = spread_by_hand(small, epochs, USERS[b], POSITIVES[b], item)
        assert found[b, c] == pytest.approx(expected, abs=1e-6)
    assert (found.max() > 0.1) == (epochs > 2)


@pytest.mark.parametrize(("alpha", "epochs"), [(0.0, 8), (5.0, 8), (5.0, 3), (50.0, 3)])
def test_the_best_of_all_the_pool_where_all_of_it_is_drawn(small, alpha, epochs):
    """So many candidates for each negative that all of the catalogue is among them."""
    sampler = HighVarianceNegatives(alpha, warmup=5, memory_size=500, pool_size=500, temperature=50.0)
    sampler, now = trained(sampler, small, epochs)
    score = scorer_of(now)
    found = sampler.sample(USERS, POSITIVES, 2, rng=CounterRng(4), scorer=score).index
    weight = alpha * min(1.0, (epochs - 1) / 5)
    for b, (user, positive) in enumerate(zip(USERS, POSITIVES, strict=True)):
        quality = {}
        for item in set(range(small.n_items)) - set(small.items_of(int(user)).tolist()):
            own, other = score(np.array([user]), np.array([[positive, item]]))[0]
            spread = spread_by_hand(small, epochs, user, positive, item)
            quality[item] = sigmoid(float(other) - float(own)) + weight * spread
        assert found[b].tolist() == [max(quality, key=quality.get)] * 2


def test_a_negative_is_the_best_of_as_many_as_are_remembered(small):
    """The declared law, at an epoch whose spread counts, against the draws."""
    sampler, now = trained(HighVarianceNegatives(warmup=2, memory_size=3, pool_size=3000), small, 6)
    score = fast(now)
    law = sampler.probabilities(np.array([5]), scorer=score, positives=np.array([0]))[0]
    drawn = sampler.sample(np.full(2000, 5), np.zeros(2000, np.int64), 20, rng=CounterRng(8), scorer=score).index
    share = np.bincount(drawn.ravel(), minlength=small.n_items) / drawn.size
    assert np.abs(share - law).sum() < 0.03
    sampler.alpha = 0.0  # another law altogether
    assert np.abs(share - sampler.probabilities(np.array([5]), scorer=score, positives=np.array([0]))[0]).sum() > 0.2


def fast(vectors):
    return lambda users, items: (
        np.einsum("bd,bcd->bc", vectors["user_vectors"][users], vectors["item_vectors"][np.atleast_2d(items)])
        if items.ndim == 2
        else vectors["user_vectors"][users] @ vectors["item_vectors"][items].T
    )


def test_what_is_remembered_is_drawn_without_replacement(small):
    """Of a pool of four with shares 1 : 2 : 3 : 4, two: each pair as often as by drawing one after the other."""
    people, shares = 30_000, np.array([1.0, 2.0, 3.0, 4.0]) / 10
    memory = UserMemory(people, 2)
    users, pool = np.arange(people), np.tile(np.arange(4), (people, 1))
    logits = np.tile(np.log(shares).astype(np.float32), (people, 1))
    memory.refresh(users, pool, logits, CounterRng(5))
    counts = np.zeros((4, 4))
    np.add.at(counts, tuple(memory.items.T), 1)
    law = np.array([[shares[i] * shares[j] / (1 - shares[i]) * (i != j) for j in range(4)] for i in range(4)])
    assert counts[law == 0].sum() == 0
    assert scipy.stats.chisquare(counts[law > 0], law[law > 0] * people).pvalue > 1e-4


def test_the_pool_is_what_is_remembered_and_fresh_draws(small):
    sampler, now = trained(HighVarianceNegatives(memory_size=3, pool_size=4), small, 1)
    law = UniformNegatives(exclude_seen=True)
    law.build(small)
    score, known = scorer_of(now), {}
    for place in (0, 50, 100):
        fresh = law.sample(USERS, POSITIVES, 4, rng=CounterRng(3, place)).index
        found = sampler.sample(USERS, POSITIVES, 6, rng=CounterRng(3, place), scorer=score).index
        pools = [known.get(user, []) + row.tolist() for user, row in zip(USERS.tolist(), fresh, strict=True)]
        for row, pool in zip(found.tolist(), pools, strict=True):
            assert set(row) <= set(pool)
        memory = sampler.state()["memory"]
        for b in (4, 3, 2, 1, 0):  # the first row of a user is the one that counts
            known[int(USERS[b])] = memory[USERS[b]].tolist()
        for b in (0, 1, 2, 4):
            left = pools[b].copy()
            for item in known[int(USERS[b])]:
                left.remove(item)  # without replacement: no place twice
    assert (memory[[1, 3, 6]] == -1).all()  # users who were in no batch
    assert (memory[USERS] >= 0).all()


def test_the_model_prefers_what_is_remembered(small):
    """At a low temperature the user's best items stay."""
    sampler, now = trained(HighVarianceNegatives(memory_size=2, pool_size=9, temperature=0.01), small, 1)
    score = scorer_of(now)
    for place in range(0, 400, 20):
        sampler.sample(np.array([5]), np.array([0]), 1, rng=CounterRng(3, place), scorer=score)
    scores = score(np.array([5]), np.arange(small.n_items))[0]
    scores[small.items_of(5)] = -np.inf
    assert set(sampler.state()["memory"][5].tolist()) <= set(np.argsort(-scores)[:2].tolist())


def test_state_takes_up_where_it_was(small):
    first, now = trained(HighVarianceNegatives(warmup=1), small, 5)
    first.sample(USERS, POSITIVES, 3, rng=CounterRng(3), scorer=scorer_of(now))
    kept = {name: value.copy() for name, value in first.state().items()}
    second = HighVarianceNegatives(warmup=1)
    second.build(small)
    second.load_state(kept)
    for each in (first, second):
        each.start_epoch(5, rng=CounterRng(1, 5), **tables(small, 5))
    one, two = (
        each.sample(USERS, POSITIVES, 9, rng=CounterRng(3, 9), scorer=scorer_of(tables(small, 5))).index
        for each in (first, second)
    )
    np.testing.assert_array_equal(one, two)
    for name, value in first.state().items():
        np.testing.assert_array_equal(second.state()[name], value)
    assert first.state()["past_users"].shape == (5, small.n_users, 5)


def test_no_past_no_spread(small):
    index = np.zeros((5, 3), dtype=np.int64)
    assert (PastTables().spread(USERS, POSITIVES, index) == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": -1.0}, "alpha must be 0 or more"),
        ({"warmup": 0}, "warmup must be 1 or more"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"memory_size": 9, "pool_size": 8}, "pool_size must be 9 or more"),
    ],
)
def test_broken_arguments_are_named(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        HighVarianceNegatives(**arguments)


def test_a_law_that_masks_is_refused(small):
    sampler, now = trained(HighVarianceNegatives(law=SharedNegatives(exclude_seen=True)), small, 1)
    with pytest.raises(ArgumentError, match="law must not mask what it draws"):
        sampler.sample(USERS, POSITIVES, 3, rng=CounterRng(3), scorer=scorer_of(now))
