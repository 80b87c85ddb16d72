"""The pairwise softmax loss."""

import math

import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import PairwiseSoftmaxLoss


@pytest.mark.parametrize("activation", ["tanh", "atan", "relu"])
@pytest.mark.parametrize("behind", [-1.0, -0.4, 0.0, 0.7, 1.0])
def test_one_negative_gives_the_activation_itself(activation, behind):
    step = {"tanh": math.tanh(behind) + 1, "atan": math.atan(behind) + 1, "relu": max(behind + 1, 1e-6)}[activation]
    loss = PairwiseSoftmaxLoss(activation, 0.5, scale=2.0)
    value = loss(torch.zeros(1, dtype=torch.float64), torch.tensor([[2 * behind]], dtype=torch.float64))
    assert value.item() == pytest.approx(2 * math.log(step), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "atan", "relu"])
def test_lies_between_the_step_and_the_exponential(activation):
    for behind in torch.linspace(-1, 1, 41):
        value = PairwiseSoftmaxLoss(activation, 1.0)(torch.zeros(1), 2 * behind.reshape(1, 1)).exp()
        assert float(behind >= 0) - 1e-5 <= value <= behind.exp() + 1e-5


@pytest.mark.parametrize("activation", ["tanh", "atan", "relu"])
def test_far_behind_is_finite(activation):
    neg = torch.tensor([[-1e4, -5.0], [-1e4, -1e4]], requires_grad=True)
    value = PairwiseSoftmaxLoss(activation)(torch.zeros(2), neg)
    value.backward()
    assert math.isfinite(value.item())
    assert torch.isfinite(neg.grad).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "tan"}, "activation must be one of tanh, atan, relu; got 'tan'. Did you mean 'tanh'"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"scale": -2.0}, "scale must be above 0"),
    ],
)
def test_a_broken_argument_is_named(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        PairwiseSoftmaxLoss(**arguments)
