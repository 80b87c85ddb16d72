"""The Multi-Margin Loss: reduction, memory, hinges, arguments, life inside torch."""

import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from multimargin.errors import ArgumentError
from multimargin.losses import CosineContrastiveLoss, MultiMarginLoss, Statistics


def plain(pos, neg, margins, weights, pos_weight, neg_weight):
    rows = []
    for positive, row in zip(pos, neg, strict=True):
        push = sum(w * max(0.0, s - m) for s in row for m, w in zip(margins, weights, strict=True)) / len(row)
        rows.append(pos_weight * max(0.0, 1 - positive) + neg_weight * push)
    return sum(rows) / len(rows)


def test_equals_plain_loops():
    generator = torch.Generator().manual_seed(0)
    pos = torch.rand(13, generator=generator) * 2 - 1
    neg = torch.rand(13, 31, generator=generator) * 2 - 1
    loss = MultiMarginLoss((-0.3, 0.2, 0.7), (0.5, 0.0, 2.0), pos_weight=3, neg_weight=5)
    expected = plain(pos.tolist(), neg.tolist(), (-0.3, 0.2, 0.7), (0.5, 0.0, 2.0), 3, 5)
    assert loss(pos, neg).item() == pytest.approx(expected, rel=1e-6)


def test_gradient_is_the_sum_of_the_weights_of_exceeded_margins():
    loss = MultiMarginLoss((0.25, 0.5, 0.75), (1.0, 2.0, 4.0), pos_weight=3.0, neg_weight=8.0)
    pos = torch.tensor([0.5], requires_grad=True)
    neg = torch.tensor([[0.2, 0.25, 0.3, 0.5, 0.6, 0.75, 0.8, -1.0]], requires_grad=True)
    loss(pos, neg).backward()
    assert neg.grad.tolist() == [[0.0, 0.0, 1.0, 1.0, 3.0, 3.0, 7.0, 0.0]]  # 8 negatives, weight 8
    assert pos.grad.tolist() == [-3.0]


@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.9])
def test_one_margin_is_the_cosine_contrastive_loss(margin):
    generator = torch.Generator().manual_seed(1)
    pos = torch.rand(7, generator=generator, requires_grad=True)
    neg = torch.rand((7, 5), generator=generator, requires_grad=True)
    multi = MultiMarginLoss((margin,), (1.0,), pos_weight=2.0, neg_weight=9.0)(pos, neg)
    single = CosineContrastiveLoss(margin, pos_weight=2.0, neg_weight=9.0)(pos, neg)
    torch.testing.assert_close(multi, single)
    for a, b in zip(torch.autograd.grad(multi, (pos, neg)), torch.autograd.grad(single, (pos, neg)), strict=True):
        torch.testing.assert_close(a, b)


class LargestTensor(TorchDispatchMode):
    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(each, torch.Tensor):
                self.elements = max(self.elements, each.numel())
        return result


def test_memory_does_not_grow_with_the_number_of_margins():
    kept = {}
    for count in (1, 16):
        loss = MultiMarginLoss([k / count - 0.5 for k in range(count)], [1.0] * count, neg_weight=7)
        pos, neg = torch.zeros(11, requires_grad=True), torch.zeros((11, 97), requires_grad=True)
        storages = {}

        def keep(tensor, storages=storages):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with LargestTensor() as largest, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss(pos, neg).backward()
        assert largest.elements == 11 * 97
        kept[count] = sum(size for size in storages.values() if size >= 4 * 11 * 97)
    assert kept[16] == kept[1] <= 2 * 4 * 11 * 97


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_scores_are_read_as_float32(dtype):
    neg = torch.tensor([[0.95, 0.65, 0.1]], dtype=dtype, requires_grad=True)
    pos = torch.tensor([0.8], dtype=dtype, requires_grad=True)
    loss = MultiMarginLoss((0.6, 0.9), (0.25, 0.75), neg_weight=2.0)
    value = loss(pos, neg)
    assert value.dtype == torch.float32
    assert value.item() == loss(pos.float(), neg.float()).item()
    value.backward()
    assert neg.grad.dtype == dtype


def test_runs_under_autocast():
    vectors = torch.nn.functional.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    vectors.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = vectors @ vectors.T
        value = MultiMarginLoss((0.0, 0.5), (1.0, 1.0), neg_weight=7)(scores.diagonal(), scores)
    assert scores.dtype == torch.bfloat16
    value.backward()
    assert math.isfinite(value.item())
    assert torch.isfinite(vectors.grad).all()


def test_upstream_gradient_and_second_order():
    neg = torch.full((2, 3), 0.95, dtype=torch.float64, requires_grad=True)
    pos = torch.zeros(2, dtype=torch.float64)
    loss = MultiMarginLoss(neg_weight=700)
    (gradient,) = torch.autograd.grad(5 * loss(pos, neg) ** 2, neg, create_graph=True)
    assert gradient.requires_grad
    value = loss(pos, neg).item()
    torch.testing.assert_close(gradient.detach(), torch.full((2, 3), 10 * value * 700 / 6, dtype=torch.float64))


def test_buffers_follow_the_module():
    loss = MultiMarginLoss((0.5, 0.75), (1.0, 2.0), neg_weight=700).double()
    assert loss.margins.dtype == loss.margin_weights.dtype == torch.float64
    assert set(loss.state_dict()) == {"margins", "margin_weights"}
    assert repr(loss) == "MultiMarginLoss((0.5, 0.75), (1, 2), pos_weight=1, neg_weight=700)"


def test_hinges_carry_the_weight_of_the_negatives():
    hinges = MultiMarginLoss((0.5, 0.75), (1.0, 2.0), pos_weight=3.0, neg_weight=4.0).terms()
    assert (hinges.positive_slope, hinges.margins, hinges.slopes) == (3.0, (0.5, 0.75), (4.0, 8.0))


AUTO = Statistics(3, 8, np.array([0, 0, 1, 2, 2, 2]), np.array([0, 4, 4, 5, 6, 7]))  # a quarter of all pairs
SPARSER = Statistics(6, 16, AUTO.user_index, AUTO.item_index)  # a sixteenth


def test_a_weight_is_set_from_the_data_whatever_its_parts_add_up_to():
    for pos_weight, slopes in ((1.0, (0.25, 0.75)), (3.0, (1.0, 4.0))):
        loss = MultiMarginLoss((0.5, 0.75), slopes, pos_weight=pos_weight)
        for data, expected in ((AUTO, 20), (SPARSER, 40), (AUTO, 20)):
            loss.prepare(data, rng=np.random.default_rng(0))
            assert loss.neg_weight * sum(slopes) == pytest.approx(pos_weight * expected)
            assert sum(loss.terms().slopes) == pytest.approx(pos_weight * expected)
        pos, neg = torch.rand(5), torch.rand(5, 9)
        given = MultiMarginLoss((0.5, 0.75), slopes, pos_weight=pos_weight, neg_weight=loss.neg_weight)
        assert loss(pos, neg) == given(pos, neg)


def test_a_weight_that_is_given_is_kept():
    loss = MultiMarginLoss(neg_weight=7)
    loss.prepare(AUTO, rng=np.random.default_rng(0))
    assert loss.neg_weight == 7.0
    assert repr(MultiMarginLoss()).endswith("pos_weight=1, neg_weight='auto')")


@pytest.mark.parametrize("use", [lambda loss: loss.terms(), lambda loss: loss(torch.zeros(1), torch.zeros(1, 1))])
def test_a_weight_that_nothing_was_set_from_is_named(use):
    with pytest.raises(ArgumentError, match=r"neg_weight='auto' is set from the training data. Give a number"):
        use(MultiMarginLoss())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"margins": (0.8, 0.6), "margin_weights": (1, 1)},
            r"margins must increase strictly; got \(0.8, 0.6\). Sort them",
        ),
        ({"margins": (0.8, 0.8), "margin_weights": (1, 1)}, "margins must increase strictly"),
        ({"margins": (0.8,), "margin_weights": (1, 1)}, "margin_weights must hold one number per margin"),
        ({"margins": (), "margin_weights": ()}, "margins must hold at least one number"),
        (
            {"margins": 0.9, "margin_weights": 1.0},
            r"margins must be a sequence of numbers; got 0.9. .*margins=\(0.9,\)",
        ),
        ({"margins": (float("nan"),), "margin_weights": (1,)}, r"margins\[0\] must be a finite number"),
        ({"margins": (0.1, 0.2), "margin_weights": (1, -1)}, r"margin_weights\[1\] must be 0 or more; got -1"),
        ({"pos_weight": -1}, "pos_weight must be 0 or more; got -1"),
        ({"neg_weight": "atuo"}, "neg_weight must be a number of 0 or more, or 'auto'; got 'atuo'"),
        ({"margins": (0.5,), "margin_weights": (0,)}, "margin_weights must not all be 0 where neg_weight is 'auto'"),
        ({"neg_weight": float("inf")}, "neg_weight must be a finite number; got inf"),
    ],
)
def test_a_broken_argument_is_named(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        MultiMarginLoss(**arguments)


def test_the_docstring_says_first_what_it_is_not():
    assert MultiMarginLoss.__doc__.startswith("Not ``torch.nn.MultiMarginLoss``")
    assert "MML, MMCL" in MultiMarginLoss.__doc__


def test_a_wrong_shape_is_caught_by_the_annotations():
    with pytest.raises(Exception, match=r"(?i)type-check|violat|jaxtyping"):
        MultiMarginLoss(neg_weight=700)(torch.zeros(3), torch.zeros(4, 2))
