"""Mixed negatives: whose column is whose, and the law of the mixture by hand."""

import numpy as np
import pytest

from multimargin.errors import ArgumentError
from multimargin.negatives import (
    AllNegatives,
    DynamicNegatives,
    InBatchNegatives,
    MixedNegatives,
    PopularityNegatives,
    SharedNegatives,
    UniformNegatives,
)
from multimargin.rng import CounterRng


def sample(sampler, train, n, rows=slice(0, 40, 4), **extras):
    sampler.build(train)
    users, positives = train.user_index[rows].astype(np.int64), train.indices[rows].astype(np.int64)
    return users, positives, sampler.sample(users, positives, n, rng=CounterRng(5, 9), **extras)


@pytest.mark.parametrize(
    ("shares", "n", "columns"),
    [((1, 1), 6, [3, 3]), ((1, 3), 8, [2, 6]), ((2, 1), 4, [3, 1]), ((0.3, 0.7), 10, [3, 7]), ((1, 1), 1, [1, 0])],
)
def test_each_has_its_columns(small, shares, n, columns):
    parts = UniformNegatives(exclude_seen=True), PopularityNegatives(1.0)
    users, positives, found = sample(MixedNegatives(parts, shares), small, n)
    for k, (part, own) in enumerate(zip(parts, columns, strict=True)):
        if own:
            alone = part.sample(users, positives, own, rng=CounterRng(5, 9).branch(str(k)))
            first = sum(columns[:k])
            np.testing.assert_array_equal(found.index[:, first : first + own], alone.index)
    assert found.index.shape == (len(users), n)


def test_log_q_is_the_mixture_whoever_drew(small):
    parts = UniformNegatives(exclude_seen=True), PopularityNegatives(1.0)
    users, _, found = sample(MixedNegatives(parts, (1, 3)), small, 8)
    for user, items, log_q in zip(users, found.index, found.log_q, strict=True):
        seen = set(small.items_of(int(user)).tolist())
        for item, chance in zip(items.tolist(), np.exp(log_q), strict=True):
            uniform = 0.0 if item in seen else 1 / (small.n_items - len(seen))
            popular = small.item_counts[item] / len(small)
            assert chance == pytest.approx(0.25 * uniform + 0.75 * popular, rel=1e-5)


def test_a_shared_pool_and_the_batch_stay_shared(small):
    sampler = MixedNegatives((SharedNegatives(), InBatchNegatives(exclude_seen=True)))
    users, positives, found = sample(sampler, small, 6)
    assert sampler.shared
    assert found.index.shape == found.log_q.shape == (6 + len(users),)
    np.testing.assert_array_equal(found.index[6:], positives)
    assert found.mask[:, :6].all()
    assert not found.mask[:, 6:].all()
    share = 6 / (6 + len(users))
    expected = share / small.n_items + (1 - share) * small.item_counts[found.index] / len(small)
    np.testing.assert_allclose(np.exp(found.log_q), expected, rtol=1e-5)


def test_rows_beside_a_shared_pool_are_rows(small):
    users, _, found = sample(MixedNegatives((SharedNegatives(exclude_seen=True), UniformNegatives())), small, 8)
    assert found.index.shape == found.mask.shape == (len(users), 8)
    assert (found.index[:, :4] == found.index[0, :4]).all()
    assert found.mask[:, 4:].all()
    assert not found.mask[:, :4].all()


def test_a_part_that_looks_at_scores_is_handed_the_scorer(small):
    sampler = MixedNegatives((UniformNegatives(), DynamicNegatives(5)))
    assert sampler.needs == {"scores"}
    _, _, found = sample(sampler, small, 4, scorer=lambda users, items: -items.astype(np.float32))
    assert found.log_q is None  # of the best of five nobody tells the chance
    assert found.index[:, 2:].mean() < found.index[:, :2].mean()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((UniformNegatives(),),), "samplers must be two or more; got 1"),
        (((UniformNegatives(), AllNegatives()),), "samplers must neither ask for whole users nor blend"),
        ((None, (1, 2, 3)), "shares must be one for each of 2 samplers"),
        ((None, (1, 0)), r"shares\[1\] must be above 0"),
    ],
)
def test_broken_arguments_are_named(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        MixedNegatives(*arguments)
