"""The logarithm of a mean of exponentials: weights, masks, size."""

import math

import pytest
import torch

from multimargin.losses.reductions import log_mean_exp, log_mean_exp_by_group


def random_case():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn((5, 7), generator=generator, dtype=torch.float64)
    mask = torch.rand((5, 7), generator=generator) < 0.6
    mask[3] = False
    return values, mask, torch.randn((5, 7), generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighed", [False, True])
def test_equals_plain_loops(masked, weighed):
    values, mask, log_q = random_case()
    result = log_mean_exp(values, mask if masked else None, log_q=log_q if weighed else None, empty=-7.0)
    for b in range(5):
        chosen = [n for n in range(7) if not masked or mask[b, n]]
        weights = [math.exp(-log_q[b, n]) if weighed else 1.0 for n in chosen]
        total = sum(w * math.exp(values[b, n]) for w, n in zip(weights, chosen, strict=True))
        expected = math.log(total / sum(weights)) if chosen else -7.0
        assert result[b].item() == pytest.approx(expected, rel=1e-12)


def test_a_constant_in_log_q_changes_nothing():
    values, mask, log_q = random_case()
    for m in (None, mask):
        shifted = log_mean_exp(values, m, log_q=log_q - 9.0, empty=0.0)
        torch.testing.assert_close(shifted, log_mean_exp(values, m, log_q=log_q, empty=0.0))
        alike = log_mean_exp(values, m, log_q=torch.full_like(log_q, -9.0), empty=0.0)
        torch.testing.assert_close(alike, log_mean_exp(values, m, empty=0.0))


@pytest.mark.parametrize("empty", [0.0, -math.inf])
def test_a_row_without_negatives_has_no_gradient_and_no_nan(empty):
    values, mask, log_q = random_case()
    values[3, 2] = math.inf  # counts for nothing
    values.requires_grad_()
    result = log_mean_exp(values, mask, log_q=log_q, empty=empty)
    result.exp().sum().backward()
    assert result[3].item() == empty
    assert (values.grad[~mask] == 0).all()
    assert torch.isfinite(values.grad).all()


def test_large_values_do_not_overflow():
    values = torch.tensor([[1e5, 1e5 - math.log(3)], [-1e5, -1e5]])
    torch.testing.assert_close(log_mean_exp(values, None, empty=0.0), torch.tensor([1e5 + math.log(2 / 3), -1e5]))


def test_by_group_equals_plain_loops():
    values, groups = [0.5, -1.0, 2.0, 1e4, 0.25, -1e4], [7, 3, 7, 5, 7, 5]
    result = log_mean_exp_by_group(torch.tensor(values, dtype=torch.float64), torch.tensor(groups))
    seven = math.log((math.exp(0.5) + math.exp(2.0) + math.exp(0.25)) / 3)
    five = 1e4 - math.log(2)
    assert result.tolist() == pytest.approx([seven, -1.0, seven, five, seven, five], rel=1e-12)


def test_by_group_has_the_gradient_of_its_value():
    values = torch.tensor([0.5, -1.0, 2.0, 0.1], dtype=torch.float64, requires_grad=True)
    groups = torch.tensor([1, 0, 1, 1])
    assert torch.autograd.gradcheck(lambda v: log_mean_exp_by_group(v, groups), (values,))
