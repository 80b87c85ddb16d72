"""Which positives and negatives Variational BPR believes."""

import numpy as np
import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import Statistics
from multimargin.losses.posteriors import Posteriors

NONE = {"pos_rarity": 0.0, "pos_hardness": 0.0, "neg_popularity": 0.0, "neg_hardness": 0.0}
ITEMS = np.repeat(np.arange(5), [1, 2, 4, 8, 16])
STATISTICS = Statistics(16, 5, np.concatenate([np.arange(n) for n in (1, 2, 4, 8, 16)]), ITEMS)


def prepared(pos_scale=1.0, neg_scale=1.0, **given):
    posteriors = Posteriors(pos_scale, neg_scale, **(NONE | given))
    posteriors.prepare(STATISTICS)
    return posteriors


def test_likelihood_believes_high_positives_and_low_negatives():
    scores = torch.tensor([[0.0, 1.0, 2.0]])
    up, down = prepared().of_positives(scores, (None, None)), prepared().of_negatives(scores, None, None)
    torch.testing.assert_close(up, scores.softmax(-1))
    torch.testing.assert_close(down, (-scores).softmax(-1))


def test_hardness_turns_both_round():
    scores = torch.tensor([[0.0, 1.0, 2.0]])
    hard = prepared(8.0, 8.0, pos_hardness=0.8, neg_hardness=1.0)
    assert hard.of_positives(scores, (None, None)).argmax() == 0
    assert hard.of_negatives(scores, None, None).argmax() == 2


def test_priors_prefer_rare_positives_and_popular_negatives():
    same = torch.zeros(1, 2)
    rare = prepared(pos_rarity=1.0).of_positives(same, (torch.tensor([0]), torch.tensor([[3]])))
    popular = prepared(neg_popularity=1.0).of_negatives(same, torch.tensor([[0, 3]]), None)
    popularity = np.log1p(np.array([2, 9])) / np.log1p(17)
    assert rare[0].tolist() == pytest.approx(((1 - popularity) / (1 - popularity).sum()).tolist(), rel=1e-5)
    assert popular[0].tolist() == pytest.approx((popularity / popularity.sum()).tolist(), rel=1e-5)


def test_indices_are_needed_for_priors_that_count_only():
    assert Posteriors(1.0, 1.0, **NONE).needs == frozenset()
    assert prepared(pos_rarity=0.1).needs == {"positives"}
    assert prepared(neg_popularity=0.1).needs == {"negatives"}
    with pytest.raises(ArgumentError, match="positives must be handed"):
        prepared(pos_rarity=0.1).of_positives(torch.zeros(1, 1), (None, None))


def test_a_row_without_negatives_believes_none():
    mask = torch.tensor([[False, False], [True, False]])
    assert prepared().of_negatives(torch.zeros(2, 2), None, mask).tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("name", ["pos_scale", "neg_scale", *NONE])
def test_a_broken_argument_is_named(name):
    with pytest.raises(ArgumentError, match=f"^{name} must be"):
        Posteriors(**({"pos_scale": 1.0, "neg_scale": 1.0} | NONE | {name: -1.0}))
