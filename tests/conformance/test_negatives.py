"""What holds for every sampler in NEGATIVES, found by itself."""

import inspect
import random

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given

from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import ArgumentError, NoNegativesError
from multimargin.negatives import NEGATIVES
from multimargin.negatives.base import NEEDS
from multimargin.rng import CounterRng


def variants():
    """Return (name, arguments) of every sampler, with each way to treat seen items."""
    for name, sampler in NEGATIVES.items():
        yield name, {}
        if "exclude_seen" in inspect.signature(sampler).parameters:
            yield name, {"exclude_seen": True}


VARIANTS = [pytest.param(name, arguments, id=f"{name}-{arguments}") for name, arguments in variants()]
EXACT = [each for each in VARIANTS if each.values[1].get("exclude_seen")]


@st.composite
def interactions(draw):
    """Some interactions, in which nobody has seen all items, and of what occurs everybody has something left."""
    n_users, n_items = draw(st.integers(1, 9)), draw(st.integers(2, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    touched = rng.random((n_users, n_items)) < draw(st.sampled_from([0.0, 0.1, 0.5, 0.98]))
    touched[np.arange(n_users), rng.integers(0, n_items, n_users)] = False
    occurs = np.zeros_like(touched[:1])
    touched = np.concatenate([touched, occurs, occurs])  # two more users, who have one item each
    touched[-2, 0] = touched[-1, -1] = True
    touched[:, [0, -1]] &= np.arange(n_users + 2)[:, None] >= n_users
    return from_matrix(touched)


def from_matrix(touched):
    users, items = np.nonzero(touched)
    vocabularies = Vocabulary.range(touched.shape[0], kind="user"), Vocabulary.range(touched.shape[1], kind="item")
    return Interactions.from_pairs(users, items, *vocabularies)


class Sampler:
    """A built sampler with a model that stands still, for those that look at one."""

    def __init__(self, name, arguments, train):
        self.inner = NEGATIVES[name](**arguments)
        rng = np.random.default_rng(8)
        self.users, self.items = (
            rng.standard_normal((n, 4)).astype(np.float32) / 2 for n in (train.n_users, train.n_items)
        )
        self.build(train)

    def build(self, train):
        self.inner.build(train)
        tables = {"user_vectors": self.users, "item_vectors": self.items} if "tables" in self.inner.needs else {}
        self.inner.start_epoch(0, rng=CounterRng(77), **tables)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def score(self, users, items):
        each, among = self.users[users], self.items[items]
        return each @ among.T if items.ndim == 1 else np.einsum("bd,bcd->bc", each, among)

    def sample(self, users, positives, n, *, rng):
        extras = {"scorer": self.score} if "scores" in self.inner.needs else {}
        return self.inner.sample(users, positives, n, rng=rng, **extras)

    def probabilities(self, users, positives):
        known = {"scorer": self.score, "positives": positives, "n": 50}
        asked = inspect.signature(self.inner.probabilities).parameters
        return self.inner.probabilities(users, **{name: each for name, each in known.items() if name in asked})


def built(name, arguments, train):
    return Sampler(name, arguments, train)


def batch(train, size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, train.n_users, size), rng.integers(0, train.n_items, size)


def counted(drawn):
    """Return the items that count as negatives, row by row."""
    rows = drawn.index if drawn.index.ndim == 2 else [drawn.index] * (1 if drawn.mask is None else len(drawn.mask))
    return [np.asarray(row) if drawn.mask is None else row[drawn.mask[b]] for b, row in enumerate(rows)]


PLACES = {"key": st.integers(0, 2**64 - 1), "offset": st.integers(0, 2**40)}


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
@given(train=interactions(), size=st.integers(0, 11), n=st.integers(1, 13), **PLACES)
def test_draws_have_the_shape_asked_for_and_are_items(name, arguments, train, size, n, key, offset):
    users, positives = batch(train, size)
    sampler = built(name, arguments, train)
    if n <= getattr(sampler, "dropped", 0):
        return  # an error of its own
    drawn = sampler.sample(users, positives, n, rng=CounterRng(key, offset))
    if not sampler.draws:
        n = len(drawn.index)
    if drawn.blend is not None:
        assert drawn.blend.columns.shape == drawn.blend.weights.shape
        assert drawn.blend.columns.shape[:2] == (size, n)
        n = drawn.index.shape[1]
    assert drawn.index.dtype == np.int64
    assert drawn.index.shape in {(size, n), (n,)}
    assert ((drawn.index >= 0) & (drawn.index < train.n_items)).all()
    assert drawn.log_q is None or (drawn.log_q.shape == drawn.index.shape and drawn.log_q.dtype == np.float32)
    assert drawn.mask is None or (drawn.mask.shape == (size, n) and drawn.mask.dtype == np.bool_)


@pytest.mark.parametrize(("name", "arguments"), EXACT)
@given(train=interactions(), **PLACES)
def test_never_a_seen_item(name, arguments, train, key, offset):
    users, positives = batch(train, 40)
    drawn = built(name, arguments, train).sample(users, positives, 9, rng=CounterRng(key, offset))
    for user, row in zip(users, counted(drawn), strict=True):
        assert not set(row.tolist()) & set(train.items_of(int(user)).tolist())


@pytest.mark.parametrize(("name", "arguments"), [each for each in VARIANTS if not NEGATIVES[each.values[0]].remembers])
@given(train=interactions(), **PLACES)
def test_same_place_same_draw(name, arguments, train, key, offset):
    users, positives = batch(train, 7)
    first = built(name, arguments, train).sample(users, positives, 5, rng=CounterRng(key, offset))
    sampler = built(name, arguments, train)
    sampler.sample(users, positives, 3, rng=CounterRng(key ^ 1, offset))  # what was drawn before plays no part
    again = sampler.sample(users, positives, 5, rng=CounterRng(key, offset))
    np.testing.assert_array_equal(first.index, again.index)


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_another_place_is_another_draw(name, arguments, small):
    users, positives = batch(small, 20)
    sampler = built(name, arguments, small)
    if not sampler.draws:
        return
    here = sampler.sample(users, positives, 30, rng=CounterRng(1, 0)).index
    for other in (CounterRng(2, 0), CounterRng(1, 1000)):
        assert (here != sampler.sample(users, positives, 30, rng=other).index).any()


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
@given(train=interactions(), cut=st.integers(0, 12), **PLACES)
def test_cutting_a_batch_changes_nothing(name, arguments, train, cut, key, offset):
    users, positives = batch(train, 12)
    sampler = built(name, arguments, train)
    whole = sampler.sample(users, positives, 6, rng=CounterRng(key, offset)).index
    if whole.ndim == 1 or sampler.remembers:
        return  # one set shared by a batch depends on the batch's place alone; what is remembered, on batches before
    head = sampler.sample(users[:cut], positives[:cut], 6, rng=CounterRng(key, offset)).index
    tail = sampler.sample(users[cut:], positives[cut:], 6, rng=CounterRng(key, offset + cut)).index
    np.testing.assert_array_equal(whole, np.concatenate([head, tail]))


def many(sampler, train, user, positive):
    """Return some 100,000 items given to ``user`` with ``positive``."""
    users, positives = np.full(2000, user), np.full(2000, positive)
    sampler.build(train)  # nothing is remembered
    if not sampler.shared:
        return counted(sampler.sample(users, positives, 50, rng=CounterRng(2019)))
    if sampler.draws:  # one set for all: take as many from one
        return counted(sampler.sample(users[:1], positives[:1], 50 * 2000, rng=CounterRng(2019)))
    if sampler.by_user:
        return counted(sampler.sample(users[:1], positives[:1], 1, rng=CounterRng(2019)))
    # the rest of the batch is what is given
    rows = np.random.default_rng(5).integers(0, len(train), 3000)
    found = sampler.sample(
        np.append(user, train.user_index[rows]).astype(np.int64),
        np.append(positive, train.indices[rows]).astype(np.int64),
        1,
        rng=CounterRng(2019),
    )
    return counted(found)[:1]


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_draws_follow_the_declared_law(name, arguments, small):
    pool = {"pool_size": 4000} if NEGATIVES[name].law_is_limit else {}
    sampler = built(name, arguments | pool, small)
    for user, positive in ((0, 3), (1, 2), (5, 0)):
        law = sampler.probabilities(np.array([user]), np.array([positive]))[0]
        assert law.shape == (small.n_items,)
        if law.sum() == 0:  # nothing counts: all is filtered
            assert not any(len(row) for row in many(sampler, small, user, positive))
            continue
        assert law.sum() == pytest.approx(1)
        counts = np.bincount(np.concatenate(many(sampler, small, user, positive)), minlength=small.n_items)
        assert counts[law == 0].sum() == 0
        possible = law > 0
        if sampler.law_is_limit:
            assert np.abs(counts / counts.sum() - law).sum() < 0.02
        elif possible.sum() > 1:
            assert scipy.stats.chisquare(counts[possible], law[possible] * counts.sum()).pvalue > 1e-4


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_chances_are_the_law(name, arguments, small):
    sampler = built(name, arguments, small)
    users = np.array([0, 5, 1, 5])
    every = np.tile(np.arange(small.n_items), (4, 1))
    found = sampler.chances(users, every)
    if found is not None:
        law = sampler.probabilities(users, None)
        left = np.where(law > 0, found, 0.0)  # of a draw, counted or not
        np.testing.assert_allclose(left / left.sum(axis=1, keepdims=True), law, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_log_q_is_the_chance(name, arguments, small):
    sampler = built(name, arguments, small)
    users, positives = small.user_index[3:60:4].astype(np.int64), small.indices[3:60:4].astype(np.int64)
    drawn = sampler.sample(users, positives, 6, rng=CounterRng(3))
    if drawn.log_q is not None:
        index, log_q = (np.broadcast_to(each, (len(users), each.shape[-1])) for each in (drawn.index, drawn.log_q))
        np.testing.assert_allclose(np.exp(log_q), sampler.chances(users, index), rtol=1e-5)


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_neither_columns_nor_neighbours_lean_on_one_another(name, arguments, small):
    sampler = built(name, arguments, small)
    if sampler.shared or sampler.law_is_limit or sampler.blends or sampler.remembers:
        return  # one pool for the batch or the row
    drawn = sampler.sample(np.full(40_000, 5), np.zeros(40_000, dtype=np.int64), 2, rng=CounterRng(2019)).index
    for pair in (drawn, np.stack([drawn[:-1, 1], drawn[1:, 1]], axis=1)):
        table = np.zeros((small.n_items, small.n_items))
        np.add.at(table, tuple(pair.T), 1)
        often = np.flatnonzero((table.sum(axis=0) > 800) & (table.sum(axis=1) > 800))  # many in each cell
        table = table[np.ix_(often, often)]
        assert scipy.stats.chi2_contingency(table).pvalue > 1e-4


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_says_what_it_is(name, arguments, small):
    sampler = built(name, arguments, small)
    assert sampler.needs <= NEEDS
    drawn = sampler.sample(*batch(small, 12), 6, rng=CounterRng(1))
    assert sampler.shared == (drawn.index.ndim == 1)
    assert sampler.blends == (drawn.blend is not None)
    assert sampler.remembers == bool(sampler.state())


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_one_that_needs_scores_says_so(name, arguments, small):
    sampler = built(name, arguments, small)
    if "scores" in sampler.needs:
        with pytest.raises(ArgumentError, match="scorer must be handed to a sampler that needs scores"):
            sampler.inner.sample(*batch(small, 5), 4, rng=CounterRng(1))


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_no_other_randomness_is_touched(name, arguments, small):
    users, positives = batch(small, 8)
    states = np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()  # noqa: NPY002
    built(name, arguments, small).sample(users, positives, 4, rng=CounterRng(3))
    assert (np.random.get_state()[1] == states[0]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[1])
    assert random.getstate() == states[2]


@pytest.mark.parametrize(("name", "arguments"), EXACT)
def test_a_user_with_nothing_left_is_named(name, arguments):
    users, items = np.nonzero(np.array([[1, 0, 0], [1, 1, 1]]))
    train = Interactions.from_pairs(users, items, Vocabulary(["ann", "bob"], kind="user"), Vocabulary([7, 8, 9]))
    sampler = built(name, arguments, train)
    sampler.sample(np.array([0]), np.array([0]), 2, rng=CounterRng(1))
    with pytest.raises(NoNegativesError, match="'bob'"):
        sampler.sample(np.array([0, 1]), np.array([0, 0]), 2, rng=CounterRng(1))


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_does_not_change_what_it_is_given(name, arguments, small):
    users, positives = batch(small, 8)
    users.setflags(write=False)
    positives.setflags(write=False)
    kept = small.indptr.copy(), small.indices.copy()
    built(name, arguments, small).sample(users, positives, 4, rng=CounterRng(3))
    np.testing.assert_array_equal(small.indptr, kept[0])
    np.testing.assert_array_equal(small.indices, kept[1])
