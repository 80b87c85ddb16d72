"""Variational BPR, exact and plug-in."""

import pytest
import torch
from loss_inputs import extras_for, prepared

from multimargin.losses import BPRLoss, VariationalBPRLoss, VariationalBPRPlugInLoss

BOTH = [VariationalBPRLoss, VariationalBPRPlugInLoss]


def random_scores():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, generator=generator).double(), torch.randn((6, 9), generator=generator).double()


@pytest.mark.parametrize("make", BOTH)
def test_one_positive_and_one_negative_are_bpr(make):
    pos, neg = random_scores()
    loss = prepared(make, n_positives=1)
    extras = extras_for(loss, 6, 1)
    torch.testing.assert_close(loss(pos, neg[:, :1], **extras), BPRLoss()(pos, neg[:, :1]))


def test_the_plug_in_is_never_above():
    pos, neg = random_scores()
    exact, plug_in = (prepared(make, n_positives=3) for make in BOTH)
    extras = extras_for(exact, 6, 9)
    for row in range(6):
        one = {name: each[row : row + 1] for name, each in extras.items()}
        scores = pos[row : row + 1], neg[row : row + 1]
        assert plug_in(*scores, **one) <= exact(*scores, **one)


@pytest.mark.parametrize("make", BOTH)
def test_the_gradient_holds_the_posteriors_fixed(make):
    """With hard negatives preferred, a constant weight still pushes every negative down."""
    loss = prepared(make, n_positives=1, neg_hardness=5.0)
    pos, neg = random_scores()
    neg.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(pos, neg, **extras_for(loss, 6, 9)), neg)
    assert (gradient > 0).all()


@pytest.mark.parametrize("make", BOTH)
def test_what_it_needs_follows_its_priors(make):
    plain = make(n_positives=3, pos_rarity=0.0)
    assert plain.needs == frozenset()
    assert plain.extra_positives == 2
    assert make(n_positives=3, pos_rarity=0.1).needs == {"positives", "extra_positives"}
    assert make(n_positives=1, pos_rarity=0.1).needs == {"positives"}
    assert make(n_positives=1, pos_rarity=0.0, neg_popularity=1.0).needs == {"negatives"}
