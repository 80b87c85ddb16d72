"""False-negative filters around every other sampler."""

import numpy as np
import pytest

from multimargin.errors import ArgumentError
from multimargin.negatives import NEGATIVES, MarginFilteredNegatives, RankFilteredNegatives
from multimargin.rng import CounterRng

CAN = sorted(name for name, sampler in NEGATIVES.items() if not (sampler.blends or sampler.by_user))
FILTERS = {
    "margin": lambda law: MarginFilteredNegatives(0.3, law=law),
    "rank": lambda law: RankFilteredNegatives(2, law=law),
}
USERS, POSITIVES, N = np.array([1, 5, 7, 1]), np.array([4, 2, 9, 0]), 6


def make(name):
    return NEGATIVES[name](coarse=3, fine=2) if name == "clustered" else NEGATIVES[name]()


class Model:
    """A model that stands still."""

    def __init__(self, train):
        rng = np.random.default_rng(5)
        self.users, self.items = (
            rng.standard_normal((n, 4)).astype(np.float32) for n in (train.n_users, train.n_items)
        )

    def score(self, users, items):
        each, among = self.users[users], self.items[items]
        return each @ among.T if items.ndim == 1 else np.einsum("bd,bcd->bc", each, among)

    def ready(self, sampler, train):
        sampler.build(train)
        vectors = {"user_vectors": self.users, "item_vectors": self.items} if "tables" in sampler.needs else {}
        sampler.start_epoch(0, rng=CounterRng(77), **vectors)
        return sampler

    def sample(self, sampler, offset=0):
        asked = {"scorer": self.score} if "scores" in sampler.needs else {}
        return sampler.sample(USERS, POSITIVES, N, rng=CounterRng(3, offset), **asked)


def whole(drawn):
    index = np.broadcast_to(drawn.index, (len(USERS), drawn.index.shape[-1]))
    return index, np.ones(index.shape, bool) if drawn.mask is None else drawn.mask


@pytest.mark.parametrize("filtered", sorted(FILTERS))
@pytest.mark.parametrize("name", CAN)
def test_what_any_sampler_draws_is_filtered(name, filtered, small):
    model = Model(small)
    plain, sampler = model.ready(make(name), small), model.ready(FILTERS[filtered](make(name)), small)
    for offset in (0, 4):  # twice, for those that remember
        before, after = model.sample(plain, offset), model.sample(sampler, offset)
        np.testing.assert_array_equal(after.index, before.index)
        assert (after.log_q is None) == (before.log_q is None)
        for b, (items, counted) in enumerate(zip(*whole(before), strict=True)):
            scores = [float(model.score(USERS[b : b + 1], np.array([[item]]))[0, 0]) for item in items]
            limit = float(model.score(USERS[b : b + 1], POSITIVES[b : b + 1, None])[0, 0]) - 0.3
            live = [place for place in range(len(items)) if counted[place]]
            highest = sorted(live, key=lambda place: (-scores[place], place))[:2]
            expected = [
                place for place in live if (scores[place] < limit if filtered == "margin" else place not in highest)
            ]
            assert np.flatnonzero(whole(after)[1][b]).tolist() == expected
    assert {name: each.tolist() for name, each in sampler.state().items()} == {
        name: each.tolist() for name, each in plain.state().items()
    }


@pytest.mark.parametrize("name", CAN)
def test_it_says_what_its_law_says(name):
    law = make(name)
    for filtered in FILTERS.values():
        sampler = filtered(law)
        assert sampler.needs == law.needs | {"scores"}
        said = ("draws", "shared", "remembers", "law_is_limit", "by_user", "blends")
        assert [getattr(sampler, each) for each in said] == [getattr(law, each) for each in said]


def test_a_state_is_given_back_to_the_law(small):
    model = Model(small)
    first, second = (model.ready(MarginFilteredNegatives(law=make("memory")), small) for _ in range(2))
    model.sample(first)
    second.load_state(first.state())
    np.testing.assert_array_equal(model.sample(second, 4).index, model.sample(first, 4).index)


@pytest.mark.parametrize("filtered", sorted(FILTERS))
def test_what_has_no_index_or_is_everything_is_refused(filtered):
    for name in sorted(set(NEGATIVES) - set(CAN)):
        with pytest.raises(ArgumentError, match=f"law must .*; got '{NEGATIVES[name].__name__}'. .*[.]"):
            FILTERS[filtered](make(name))


def test_the_law_of_filtered_hard_negatives_is_that_of_their_draws(small):
    model = Model(small)
    sampler = model.ready(MarginFilteredNegatives(-2.0, law=NEGATIVES["adaptive-hardness"](pool_size=4)), small)
    users, positives = np.full(4000, 5), np.full(4000, 9)
    drawn = sampler.sample(users, positives, 20, rng=CounterRng(8), scorer=model.score)
    counts = np.bincount(drawn.index[drawn.mask], minlength=small.n_items)
    law = sampler.probabilities(users[:1], scorer=model.score, positives=positives[:1])[0]
    assert law.sum() == pytest.approx(1)
    assert np.abs(counts / counts.sum() - law).sum() < 0.03
