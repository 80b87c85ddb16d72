"""Smooth maxima: the compiled forms are PyTorch's, value and gradient."""

import math

import numpy as np
import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.kernels.smooth_maxima import log_mean_exp, softplus

IMPLEMENTATIONS = ["cpu", "reference"]


def numbers(*shape, spread=3.0, seed=0):
    return torch.from_numpy((spread * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32))


def some(batch, n):
    """Return a mask with a row of all, a row of one and a row of none."""
    mask = torch.from_numpy(np.random.default_rng(1).random((batch, n)) < 0.4)
    mask[0], mask[1], mask[2] = True, False, False
    mask[1, n // 2] = True
    return mask


def value_and_gradient(operation, values, upstream, **arguments):
    leaf = values.clone().requires_grad_()
    result = operation(leaf, **arguments)
    result.backward(upstream.to(result.dtype))
    return result.detach(), leaf.grad


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("sharpness", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("n", [1, 5, 16, 37, 100])
@pytest.mark.parametrize("spread", [0.1, 10.0])
def test_means_equal_pytorch_in_double_precision(impl, n, spread, sharpness):
    values, upstream = numbers(7, n, spread=spread), numbers(7, seed=2)
    exact = value_and_gradient(lambda x: (sharpness * x).logsumexp(-1) - math.log(n), values.double(), upstream)
    found = value_and_gradient(log_mean_exp, values, upstream, sharpness=sharpness, impl=impl)
    close = 2e-6 * max(sharpness * spread, 1) * max(sharpness, 1)  # a logit of 100 has eight bits less behind the point
    for one, wanted in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), wanted, rtol=2e-6, atol=close)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("sharpness", [1.0, 10.0])
@pytest.mark.parametrize("n", [3, 16, 40])
def test_what_does_not_count_plays_no_part(impl, n, sharpness):
    values, mask, upstream = numbers(7, n), some(7, n), numbers(7, seed=2)
    values[~mask] = torch.inf
    given = {"mask": mask, "sharpness": sharpness, "empty": -3.0, "impl": impl}
    found, slopes = value_and_gradient(log_mean_exp, values, upstream, **given)
    for b in range(7):
        chosen = sharpness * values[b, mask[b]].double()
        mean = chosen.logsumexp(0).item() - math.log(len(chosen)) if len(chosen) else -3.0
        assert found[b].item() == pytest.approx(mean, abs=2e-6 * sharpness)
        torch.testing.assert_close(slopes[b, mask[b]].double(), sharpness * upstream[b].double() * chosen.softmax(0))
    assert (slopes[~mask] == 0).all()


@pytest.mark.parametrize("masked", [False, True])
def test_threads_change_no_bit(masked, at_threads):
    values, mask, upstream = numbers(31, 70), some(31, 70) if masked else None, numbers(31, seed=2)
    found = []
    for n in (1, 2, 3):
        at_threads(n)
        found += value_and_gradient(log_mean_exp, values, upstream, mask=mask, sharpness=4.0, impl="cpu")
    assert all(torch.equal(found[k % 2], each) for k, each in enumerate(found))


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("sharpness", [1.0, 5.0])
def test_softplus_equals_pytorch_in_double_precision(impl, sharpness):
    values, upstream = numbers(5, 7, 11, spread=8.0), numbers(5, 7, 11, seed=2)
    doubled, plain = values.double().requires_grad_(), torch.nn.Softplus(beta=sharpness, threshold=100)
    plain(doubled).backward(upstream.double())
    found, slopes = value_and_gradient(softplus, values, upstream, sharpness=sharpness, impl=impl)
    torch.testing.assert_close(found.double(), plain(doubled).detach(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(slopes.double(), doubled.grad, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_far_away_they_are_finite_and_infinities_and_no_numbers_stay(impl):
    values = torch.tensor([[1e4, -1e4], [-torch.inf, 2.0], [-torch.inf, -torch.inf], [torch.nan, 1.0]])
    result = log_mean_exp(values, impl=impl)
    assert result[:3].tolist() == pytest.approx([1e4 - math.log(2), 2.0 - math.log(2), -torch.inf])
    assert result[3].isnan()
    mask = torch.tensor([[True, False], [True, False], [False, False]])
    masked = log_mean_exp(values[:3], mask, empty=7.0, impl=impl)
    assert masked.tolist() == [1e4, -torch.inf, 7.0]
    assert softplus(torch.tensor([1e4, -1e4]), impl=impl).tolist() == pytest.approx([1e4, 0.0])
    assert softplus(torch.tensor([torch.nan]), impl=impl).isnan().all()


def test_it_takes_views_and_large_inputs_go_compiled():
    values = numbers(100, 64)
    for view in (values.T, values[::2], values[:, 3:40]):
        torch.testing.assert_close(log_mean_exp(view), view.logsumexp(-1) - math.log(view.shape[1]))
        torch.testing.assert_close(softplus(view), torch.nn.functional.softplus(view))
    leaf = values.requires_grad_()
    assert "_LogMeanExpBackward" in str(log_mean_exp(leaf).grad_fn)
    assert "SubBackward" in str(log_mean_exp(leaf.double()).grad_fn)


@pytest.mark.parametrize("operation", [log_mean_exp, softplus])
def test_an_unknown_implementation_is_named(operation):
    with pytest.raises(ArgumentError, match="impl must be one of"):
        operation(torch.zeros(1, 1), impl="gpu")
