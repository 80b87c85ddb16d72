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
from multimargin.errors import NoNegativesError
from multimargin.negatives import NEGATIVES
from multimargin.rng import CounterRng


def variants():
    """Return (name, arguments) of every sampler that draws without looking at a model, with each way to treat seen."""
    for name, sampler in NEGATIVES.items():
        if not sampler.needs:
            yield name, {}
            if "exclude_seen" in inspect.signature(sampler).parameters:
                yield name, {"exclude_seen": True}


VARIANTS = [pytest.param(name, arguments, id=f"{name}-{arguments}") for name, arguments in variants()]
EXACT = [each for each in VARIANTS if each.values[1].get("exclude_seen")]


@st.composite
def interactions(draw):
    """Some interactions, in which nobody has seen all items."""
    n_users, n_items = draw(st.integers(1, 9)), draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    touched = rng.random((n_users, n_items)) < draw(st.sampled_from([0.0, 0.1, 0.5, 0.98]))
    touched[np.arange(n_users), rng.integers(0, n_items, n_users)] = False
    return from_matrix(touched)


def from_matrix(touched):
    users, items = np.nonzero(touched)
    vocabularies = Vocabulary.range(touched.shape[0], kind="user"), Vocabulary.range(touched.shape[1], kind="item")
    return Interactions.from_pairs(users, items, *vocabularies)


def built(name, arguments, train):
    sampler = NEGATIVES[name](**arguments)
    sampler.build(train)
    return sampler


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
    drawn = sampler.sample(users, positives, n, rng=CounterRng(key, offset))
    if not sampler.draws:
        n = len(drawn.index)
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


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
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
    if whole.ndim == 1:
        return  # one set shared by a batch depends on the batch's place alone
    head = sampler.sample(users[:cut], positives[:cut], 6, rng=CounterRng(key, offset)).index
    tail = sampler.sample(users[cut:], positives[cut:], 6, rng=CounterRng(key, offset + cut)).index
    np.testing.assert_array_equal(whole, np.concatenate([head, tail]))


@pytest.mark.parametrize(("name", "arguments"), VARIANTS)
def test_draws_follow_the_declared_law(name, arguments, small):
    sampler = built(name, arguments, small)
    for user in (0, 1, 5):
        law = sampler.probabilities(np.array([user]))[0]
        assert law.shape == (small.n_items,)
        assert law.sum() == pytest.approx(1)
        users = np.full(2000, user)
        negatives = sampler.sample(users, np.zeros_like(users), 50, rng=CounterRng(2019))
        if negatives.index.ndim == 1:  # one set for all: take as many from one
            negatives = sampler.sample(users[:1], users[:1], 50 * 2000, rng=CounterRng(2019))
        drawn, rows = negatives.index, counted(negatives)
        counts = np.bincount(np.concatenate(rows), minlength=small.n_items)
        assert counts[law == 0].sum() == 0
        possible = law > 0
        if possible.sum() > 1:
            assert scipy.stats.chisquare(counts[possible], law[possible] * counts.sum()).pvalue > 1e-4
        # neither do the columns nor neighbours in a row lean on one another
        if drawn.ndim == 2 and possible.sum() > 1:
            pairs = np.zeros((small.n_items, small.n_items))
            np.add.at(pairs, (drawn[:, :-1:2].ravel(), drawn[:, 1::2].ravel()), 1)
            expected = np.outer(law, law) * pairs.sum()
            assert scipy.stats.chisquare(pairs[expected > 0], expected[expected > 0]).pvalue > 1e-4


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
