"""Softmax losses: inside and outside of the denominator, the law of the draws, N."""

import math

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import DecoupledSoftmaxLoss, KPairBPRLoss, SampledSoftmaxLoss


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(0)
    pos, neg = torch.rand(6, generator=generator), torch.rand((6, 9), generator=generator)
    return pos.double(), neg.double()


def test_weight_n_is_cross_entropy_with_the_positive_as_its_class(scores):
    pos, neg = scores
    logits = torch.cat([pos[:, None], neg], dim=1) / 0.2
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(6, dtype=torch.int64))
    torch.testing.assert_close(SampledSoftmaxLoss(0.2, neg_weight=9.0)(pos, neg), expected)


def test_inside_tends_to_outside(scores):
    weight = 1e9
    inside = SampledSoftmaxLoss(0.2, neg_weight=weight)(*scores) - math.log(weight)
    torch.testing.assert_close(inside, DecoupledSoftmaxLoss(0.2)(*scores), rtol=0, atol=1e-7)


def test_temperature_one_is_k_pairs(scores):
    torch.testing.assert_close(SampledSoftmaxLoss(1.0, neg_weight=3.0)(*scores), KPairBPRLoss(neg_weight=3.0)(*scores))


def test_the_pull_fades_inside_only():
    pos = torch.tensor([1.0], requires_grad=True)
    neg = torch.full((1, 4), -1.0)
    (inside,) = torch.autograd.grad(SampledSoftmaxLoss(0.1, neg_weight=4.0)(pos, neg), pos)
    (outside,) = torch.autograd.grad(DecoupledSoftmaxLoss(0.1)(pos, neg), pos)
    assert -1e-6 < inside.item() < 0
    assert outside.item() == pytest.approx(-10)


@pytest.mark.parametrize("make", [SampledSoftmaxLoss, DecoupledSoftmaxLoss])
def test_corrected_draws_of_any_law_estimate_uniform_ones(make):
    generator = torch.Generator().manual_seed(1)
    items = torch.rand(40, generator=generator).double()  # the scores of a catalogue
    law = torch.rand(40, generator=generator).double() ** 2
    law /= law.sum()
    drawn = torch.multinomial(law, 400_000, replacement=True, generator=generator)
    pos, neg, log_q = torch.tensor([0.6]).double(), items[drawn][None, :], law[drawn].log()[None, :]
    exact = make(0.2)(pos, items[None, :])
    assert make(0.2)(pos, neg, log_q=log_q).item() == pytest.approx(exact.item(), abs=0.01)
    plain = make(0.2, correct_log_q=False)
    assert plain(pos, neg, log_q=log_q) == plain(pos, neg)
    assert abs(plain(pos, neg) - exact) > 0.02


def test_a_row_without_negatives_keeps_what_does_not_need_any():
    pos, neg, mask = torch.tensor([0.5]), torch.zeros(1, 3), torch.zeros((1, 3), dtype=torch.bool)
    assert SampledSoftmaxLoss(0.1)(pos, neg, mask=mask).item() == 0
    assert DecoupledSoftmaxLoss(0.1)(pos, neg, mask=mask).item() == pytest.approx(-5)


@pytest.mark.parametrize("make", [SampledSoftmaxLoss, DecoupledSoftmaxLoss])
@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_broken_temperature_is_named(make, temperature):
    with pytest.raises(ArgumentError, match="temperature must be"):
        make(temperature)


def test_a_broken_weight_is_named():
    with pytest.raises(ArgumentError, match=r"neg_weight must be above 0; got 0\.0"):
        SampledSoftmaxLoss(neg_weight=0.0)


def test_arguments_show():
    assert repr(SampledSoftmaxLoss()) == "SampledSoftmaxLoss(0.1, neg_weight=100, correct_log_q=True)"
    assert repr(DecoupledSoftmaxLoss(0.11)) == "DecoupledSoftmaxLoss(0.11, correct_log_q=True)"
