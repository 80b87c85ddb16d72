"""Soft-InfoNCE."""

import numpy as np
import pytest
import torch

from multimargin.errors import ArgumentError
from multimargin.losses import SampledSoftmaxLoss, SoftContrastiveLoss, Statistics

PAIRS = np.array([(u, i) for u in range(8) for i in range(12) if i % 2 == u % 2 and (u + i) % 3])
STATISTICS = Statistics(8, 12, PAIRS[:, 0], PAIRS[:, 1])


def prepared(*arguments, **keywords):
    loss = SoftContrastiveLoss(*arguments, **keywords)
    loss.prepare(STATISTICS, rng=np.random.default_rng(0))
    return loss


def test_without_softness_it_is_the_sampled_softmax():
    pos, neg = torch.tensor([0.5]), torch.tensor([[0.4, -0.3, 0.1]])
    indices = {"positives": torch.tensor([3]), "negatives": torch.tensor([[1, 0, 5]])}
    loss = prepared(softness=0.0, temperature=0.3, neg_weight=3.0)
    torch.testing.assert_close(loss(pos, neg, **indices), SampledSoftmaxLoss(0.3, neg_weight=3.0)(pos, neg))


def test_negatives_like_the_positive_are_pushed_less():
    loss = prepared(np.eye(12), similarity_temperature=0.5)
    neg = torch.zeros((1, 3), requires_grad=True)
    loss(torch.zeros(1), neg, positives=torch.tensor([3]), negatives=torch.tensor([[3, 0, 5]])).backward()
    assert neg.grad[0, 0] < 0.8 * neg.grad[0, 1]
    assert neg.grad[0, 1] == neg.grad[0, 2]


def test_a_weight_is_never_below_a_tenth():
    loss = prepared(np.eye(12), similarity_temperature=0.01, neg_weight=1.0)
    neg = torch.zeros((1, 4), requires_grad=True)
    loss(torch.zeros(1), neg, positives=torch.tensor([3]), negatives=torch.tensor([[3, 0, 5, 7]])).backward()
    assert (neg.grad[0, 0] / neg.grad[0, 1]).item() == pytest.approx(0.1 / (1 / 0.75), rel=1e-4)


def test_by_default_items_with_the_same_users_are_alike():
    vectors = prepared().vectors
    assert torch.equal(vectors, prepared().vectors)
    like = vectors @ vectors.T
    full = np.zeros((8, 12))
    full[PAIRS[:, 0], PAIRS[:, 1]] = 1
    full /= np.sqrt(full.sum(1, keepdims=True) * full.sum(0))
    exact = torch.nn.functional.normalize(torch.from_numpy(full.T), dim=-1)  # the rank is that of the matrix here
    torch.testing.assert_close(like.double(), exact @ exact.T, rtol=0, atol=1e-5)
    same, other = (np.equal.outer(np.arange(12) % 2, np.arange(12) % 2) == kind for kind in (True, False))
    np.fill_diagonal(same, False)
    assert like[torch.from_numpy(same)].mean() > like[torch.from_numpy(other)].mean() + 0.3


def test_vectors_come_from_a_file_too(tmp_path):
    values = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    np.save(tmp_path / "items.npy", values)
    torch.testing.assert_close(prepared(str(tmp_path / "items.npy")).vectors, prepared(values).vectors)


def test_one_vector_for_each_item_is_asked_for():
    with pytest.raises(ArgumentError, match=r"item_vectors must be one row for each of 12 items; got \(11, 3\)"):
        prepared(np.ones((11, 3)))


@pytest.mark.parametrize(
    "arguments",
    [{"temperature": 0}, {"softness": -1}, {"uniformity": 0}, {"similarity_temperature": 0}, {"neg_weight": 0}],
)
def test_a_broken_argument_is_named(arguments):
    with pytest.raises(ArgumentError, match=f"^{next(iter(arguments))} must"):
        SoftContrastiveLoss(**arguments)
