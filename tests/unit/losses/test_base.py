"""What losses share: the mean over the negatives that count, and the least precision."""

import pytest
import torch

from multimargin.losses.base import at_least_float32, mean_over_negatives


def test_mean_over_negatives_counts_only_the_masked_in():
    values = torch.tensor([[1.0, 2.0, 6.0], [1.0, 5.0, 9.0], [7.0, 7.0, 7.0]])
    mask = torch.tensor([[True, True, True], [False, True, False], [False, False, False]])
    assert mean_over_negatives(values, None).tolist() == [3.0, 5.0, 7.0]
    assert mean_over_negatives(values, mask).tolist() == [3.0, 5.0, 0.0]


def test_a_masked_infinity_does_not_spread():
    values = torch.tensor([[1.0, float("inf")]], requires_grad=True)
    result = mean_over_negatives(values, torch.tensor([[True, False]]))
    result.sum().backward()
    assert result.tolist() == [1.0]
    assert values.grad.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_at_least_float32(given, kept):
    assert at_least_float32(torch.zeros(2, dtype=given)).dtype == kept
