"""Samplers that choose by nearness, mix, filter, remember or read a file, against plain loops."""

import numpy as np
import pytest

from multimargin.errors import ArgumentError, UnknownIdError
from multimargin.negatives import (
    AdaptiveHardnessNegatives,
    DynamicNegatives,
    ExternalNegatives,
    InterpolatedNegatives,
    MarginFilteredNegatives,
    MemoryNegatives,
    PositiveMixNegatives,
    RankFilteredNegatives,
    SharedNegatives,
    UniformNegatives,
)
from multimargin.rng import CounterRng

USERS, POSITIVES = np.array([5, 2, 0, 5, 4]), np.array([1, 4, 7, 9, 2])


def scorer(users, items):
    """Return scores that no two pairs share."""
    items = np.broadcast_to(items, (len(users), items.shape[-1]))
    return np.sin(users[:, None] * 12.9898 + items * 78.233).astype(np.float32)


def sample(sampler, train, n):
    sampler.build(train)
    extras = {"scorer": scorer} if sampler.needs else {}
    return sampler.sample(USERS, POSITIVES, n, rng=CounterRng(3, 20), **extras)


def drawn_by(law, train, n):
    law.build(train)
    drawn = law.sample(USERS, POSITIVES, n, rng=CounterRng(3, 20))
    index = np.broadcast_to(drawn.index, (len(USERS), n))
    return index, np.ones(index.shape, bool) if drawn.mask is None else drawn.mask


def test_the_nearest_to_a_level_that_falls(small):
    found = sample(AdaptiveHardnessNegatives(1.5, 0.4, power=-2.5, pool_size=6), small, 3)
    pool, _ = drawn_by(UniformNegatives(exclude_seen=True), small, 18)
    for row, (user, positive) in enumerate(zip(USERS, POSITIVES, strict=True)):
        level = 0.4 * (float(scorer(np.array([user]), np.array([positive]))[0, 0]) + 1.5) ** -1.5
        for column in range(3):
            candidates = pool[row, column * 6 : column * 6 + 6].tolist()
            far = [abs(float(scorer(np.array([user]), np.array([item]))[0, 0]) - level) for item in candidates]
            assert found.index[row, column] == candidates[far.index(min(far))]


def test_a_score_below_alpha_is_guarded(small):
    assert np.isfinite(sample(AdaptiveHardnessNegatives(-5.0), small, 3).index).all()


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.5, 1.5), (0.3, 0.3)])
def test_a_mix_is_the_hard_one_and_the_positive(small, low, high):
    found = sample(PositiveMixNegatives(7, low=low, high=high), small, 2000)
    np.testing.assert_array_equal(found.index, sample(DynamicNegatives(7), small, 2000).index)
    assert (found.blend.columns[..., 0] == 0).all()
    assert (found.blend.columns[..., 1] == np.arange(1, 2001)).all()
    share = found.blend.weights[..., 0]
    np.testing.assert_allclose(share + found.blend.weights[..., 1], 1, rtol=1e-6)
    assert low <= share.min() <= share.max() <= high
    assert share.mean() == pytest.approx((low + high) / 2, abs=0.02)
    assert share.std() == pytest.approx((high - low) / 12**0.5, abs=0.02)


def test_mixtures_are_of_two_three_and_more(small):
    found = sample(InterpolatedNegatives(4), small, 15)
    expected, _ = drawn_by(UniformNegatives(exclude_seen=True), small, 4)
    np.testing.assert_array_equal(found.index, expected)
    columns, weights = found.blend.columns, found.blend.weights
    assert (weights > 0).sum(axis=2).tolist() == [[1] * 4 + [2, 2, 3, 3, 3, 4, 4, 4, 4, 2, 2]] * 5
    np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-6)
    for row in range(5):
        assert columns[row, :4, 0].tolist() == [1, 2, 3, 4]  # the real ones first
        for members in columns[row]:
            assert sorted(members.tolist()) == [1, 2, 3, 4]
    many = sample(InterpolatedNegatives(2), small, 4000).blend
    assert many.weights[:, 2:].mean(axis=(0, 1)) == pytest.approx([0.5, 0.5], abs=0.01)
    assert many.weights[:, 2:, 0].std() == pytest.approx(12**-0.5, abs=0.01)  # two: uniform between them
    assert many.columns[:, 2:, 0].mean() == pytest.approx(1.5, abs=0.02)


def test_few_negatives_are_all_real(small):
    found = sample(InterpolatedNegatives(5), small, 3)
    assert found.index.shape == (5, 3)
    assert (found.blend.weights.max(axis=2) == 1).all()


@pytest.mark.parametrize("make", [UniformNegatives, lambda: SharedNegatives(exclude_seen=True)])
def test_what_scores_too_near_the_positive_does_not_count(small, make):
    found = sample(MarginFilteredNegatives(0.2, law=make()), small, 30)
    index, counts = drawn_by(make(), small, 30)
    limit = scorer(USERS, POSITIVES[:, None]) - np.float32(0.2)
    for row in range(5):
        scores = scorer(USERS, index)[row].tolist()
        expected = [score < limit[row, 0] and bool(own) for score, own in zip(scores, counts[row], strict=True)]
        assert found.mask[row].tolist() == expected
    assert 0 < found.mask.mean() < 1


@pytest.mark.parametrize("make", [UniformNegatives, lambda: SharedNegatives(exclude_seen=True)])
def test_the_highest_do_not_count(small, make):
    found = sample(RankFilteredNegatives(3, law=make()), small, 10)
    index, counts = drawn_by(make(), small, 10)
    for row in range(5):
        scores = scorer(USERS, index)[row]
        candidates = [place for place in range(10) if counts[row, place]]
        dropped = sorted(candidates, key=lambda place: -scores[place])[:3]
        assert [place for place in candidates if not found.mask[row, place]] == sorted(dropped)
    with pytest.raises(ArgumentError, match="n_negatives must be above dropped=3; got 3"):
        sample(RankFilteredNegatives(3), small, 3)


def test_the_memory_is_a_queue(small):
    sampler, queue = MemoryNegatives(7), []
    sampler.build(small)
    for start in (0, 4, 8):
        users, positives = small.user_index[start : start + 4].astype(np.int64), np.arange(start, start + 4)
        queue = (positives.tolist() + queue)[:7]
        found = sampler.sample(users, positives, 1, rng=CounterRng(0))
        assert found.index.tolist() == queue
        assert found.mask.tolist() == [[item != positive for item in queue] for positive in positives.tolist()]
    other = MemoryNegatives(7)
    other.build(small)
    other.load_state(sampler.state())
    one, two = (each.sample(users, positives, 1, rng=CounterRng(0)).index for each in (sampler, other))
    np.testing.assert_array_equal(one, two)


def test_negatives_come_from_the_file_where_it_has_some(small, tmp_path):
    path = tmp_path / "negatives.csv"
    path.write_text("user_id,item_id\nuser-5,103\nuser-2,101\nuser-5,122\nuser-5,100\n")
    found = sample(ExternalNegatives(path), small, 300)
    lists = {5: {3, 22, 0}, 2: {1}}
    for user, row in zip(USERS.tolist(), found.index, strict=True):
        if user in lists:
            assert set(row.tolist()) == lists[user]
        else:
            assert len(set(row.tolist())) > 3
            assert not set(row.tolist()) & set(small.items_of(user).tolist())
    sampler = ExternalNegatives(path)
    sampler.build(small)
    law = sampler.probabilities(np.array([5, 2, 4]))
    assert law[0, [0, 3, 22]] == pytest.approx([1 / 3] * 3)
    assert law[1, 1] == 1
    unseen = UniformNegatives(exclude_seen=True)
    unseen.build(small)
    np.testing.assert_allclose(law[2], unseen.probabilities(np.array([4]))[0])


def test_an_unknown_id_in_the_file_is_named(small, tmp_path):
    path = tmp_path / "negatives.csv"
    path.write_text("user_id,item_id\nuser-5,103\nuser-99,101\n")
    with pytest.raises(UnknownIdError, match="user-99"):
        ExternalNegatives(path).build(small)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdaptiveHardnessNegatives(power=-1.0), "power must be below -1"),
        (lambda: AdaptiveHardnessNegatives(beta=0.0), "beta must be above 0"),
        (lambda: PositiveMixNegatives(low=0.6, high=0.5), "low must be at most high=0.5"),
        (lambda: InterpolatedNegatives(1), "n_real must be 2 or more"),
        (lambda: InterpolatedNegatives(law=SharedNegatives()), "law must give each row its own"),
        (lambda: ExternalNegatives(law=SharedNegatives()), "law must give each row its own"),
        (lambda: MemoryNegatives(0), "size must be 1 or more"),
        (lambda: RankFilteredNegatives(-1), "dropped must be 0 or more"),
        (lambda: MarginFilteredNegatives(float("inf")), "margin must be a finite number"),
    ],
)
def test_broken_arguments_are_named(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
