"""The kernel for pools that batches share: equals the step-by-step path and plain PyTorch, whatever the threads."""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from plain_training import random_interactions, train_plainly

from multimargin.encoders import MF
from multimargin.errors import DivergedError, NoNegativesError
from multimargin.kernels.shared_epoch import SharedEpoch
from multimargin.losses import (
    CosineContrastiveLoss,
    GeneralizedBCELoss,
    MeanSquaredErrorLoss,
    MultiMarginLoss,
    SigmoidCrossEntropyLoss,
)
from multimargin.negatives import SharedNegatives
from multimargin.train.loop import Trainer

# as for the kernel of distinct negatives: Adam amplifies the rounding of the few gradients that nearly cancel
TOLERANCE = 3e-5
MOVEMENT = 5e-3

LOSSES = {
    "hinges": lambda: MultiMarginLoss((-0.1, 0.1, 0.3), (0.2, 0.3, 0.5), pos_weight=0.7, neg_weight=3.0),
    "screened": lambda: MultiMarginLoss((0.65, 0.8), (0.4, 0.6), neg_weight=9.0),
    "squares": lambda: MeanSquaredErrorLoss(pos_weight=0.7, neg_weight=3.0),
    "logistic": lambda: SigmoidCrossEntropyLoss(0.3, pos_weight=0.7, neg_weight=3.0),
}


def train_with(
    engine, train, *, similarity="cosine", dim=7, loss="hinges", exclude_seen=False, init_std=0.3, epochs=1, **options
):
    """Return the tables and the losses of the epochs; ``engine`` "plain" is PyTorch in float64."""
    options = {"batch_size": 32, "n_negatives": 53, "learning_rate": 0.01, "dropout": 0.0, "clip_norm": None} | options
    trainer = Trainer(epochs=epochs, engine="auto" if engine == "plain" else engine, device="cpu", seed=5, **options)
    encoder = MF(dim, similarity=similarity, init_std=init_std)
    loss = LOSSES[loss]() if isinstance(loss, str) else loss.float()
    parts = {"encoder": encoder, "loss": loss, "negatives": SharedNegatives(exclude_seen=exclude_seen)}
    if engine == "plain":
        return train_plainly(trainer, train, **parts)
    training = trainer.fit(train, **parts, progress=False)
    return *(table.detach() for table in encoder.tables()), [row["loss"] for row in training.history]


def assert_engines_agree(train, *, engines=("shared",), **arguments):
    *exact, losses = train_with("plain", train, **arguments)
    *start, _ = train_with("plain", train, **(arguments | {"learning_rate": 1e-30}))
    for engine in engines:
        *tables, found_losses = train_with(engine, train, **arguments)
        assert found_losses == pytest.approx(losses, rel=1e-5, abs=1e-7)
        for name, found, wanted, before in zip(("users", "items"), tables, exact, start, strict=True):
            off = (found.double() - wanted).abs()
            assert off.quantile(0.99) <= TOLERANCE, f"{engine}, {name}"
            assert off.norm() <= MOVEMENT * (wanted - before).norm(), f"{engine}, {name}"


def assert_same(results):
    for users, items, losses in results[1:]:
        assert torch.equal(users, results[0][0])
        assert torch.equal(items, results[0][1])
        assert losses == results[0][2]


@pytest.fixture(scope="module")
def train():
    """Interactions that do not divide into batches of 32, of few enough users that batches repeat them."""
    found = random_interactions()
    assert len(found) % 32
    return found


@pytest.mark.parametrize(
    ("loss", "exclude_seen", "dropout", "clip_norm"),
    list(product(sorted(LOSSES), (False, True), (0.0, 0.1), (None, 0.05))),
)
def test_equals_step_by_step_and_plain_pytorch(train, loss, exclude_seen, dropout, clip_norm):
    engines = ("shared", "steps")
    assert_engines_agree(
        train, engines=engines, loss=loss, exclude_seen=exclude_seen, dropout=dropout, clip_norm=clip_norm
    )


@pytest.mark.parametrize("exclude_seen", [False, True])
@pytest.mark.parametrize("loss", ["hinges", "squares", "logistic"])
def test_dot_products(train, loss, exclude_seen):
    assert_engines_agree(train, loss=loss, similarity="dot", exclude_seen=exclude_seen, clip_norm=0.1, dropout=0.1)


@pytest.mark.parametrize("dim", [1, 2, 16, 64, 67])
@pytest.mark.parametrize("loss", ["hinges", "logistic"])
def test_every_width(train, loss, dim):
    assert_engines_agree(train, loss=loss, dim=dim, similarity="dot" if dim == 1 else "cosine", dropout=0.1)


@pytest.mark.parametrize("dim", [6, 16, 64, 67])
def test_every_width_screened(train, dim):
    """Margins of about twice the spread of cosines: some pairs are above the smallest, and many just below."""
    margin = 2 / dim**0.5
    loss = MultiMarginLoss((margin, 1.2 * margin), (0.5, 0.5), neg_weight=9.0)
    assert_engines_agree(train, loss=loss, dim=dim, dropout=0.1, epochs=3)


@pytest.mark.parametrize("loss", ["hinges", "screened", "squares"])
@pytest.mark.parametrize("n_negatives", [1, 15, 64, 65, 150])  # of 97 items: most are drawn more than once
def test_every_number_of_negatives(train, loss, n_negatives):
    assert_engines_agree(train, loss=loss, n_negatives=n_negatives, exclude_seen=True)


@pytest.mark.parametrize("loss", ["screened", "squares"])
@pytest.mark.parametrize("batch_size", [1, 13, 1000])
def test_every_size_of_batch(loss, batch_size):
    assert_engines_agree(random_interactions(12, 23, 3), loss=loss, batch_size=batch_size, n_negatives=31)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_weight_decay(train, loss):
    assert_engines_agree(train, loss=loss, weight_decay=0.1, clip_norm=0.05)


@pytest.mark.parametrize(
    "loss",
    [
        CosineContrastiveLoss(0.7, neg_weight=2.0),
        CosineContrastiveLoss(-2.0, neg_weight=1.0),  # every pair has a gradient
        CosineContrastiveLoss(2.0),  # no negative has
        CosineContrastiveLoss(0.1, pos_weight=0.0, neg_weight=2.0),
        CosineContrastiveLoss(0.7, neg_weight=0.0),
        MultiMarginLoss((0.65, 0.8), (0.0, 1.0), neg_weight=2.0),
        MeanSquaredErrorLoss(pos_weight=0.0),
        MeanSquaredErrorLoss(neg_weight=0.0),
        SigmoidCrossEntropyLoss(0.01),  # logits of a hundred
        GeneralizedBCELoss(0.5, neg_weight=20.0),
    ],
    ids=["ccl", "all", "none", "no-positive", "weight-0", "slope-0", "push", "pull", "steep", "gbce"],
)
def test_every_loss_that_is_a_sum_over_pairs(train, loss):
    assert_engines_agree(train, loss=loss, weight_decay=0.1)


def test_many_epochs_on_rows_that_drift(train):
    assert_engines_agree(random_interactions(40, 1009), loss="screened", epochs=4, init_std=0.1, dropout=0.1)


@pytest.mark.parametrize("exclude_seen", [False, True])
@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_the_number_of_threads_changes_nothing(at_threads, loss, exclude_seen):
    train = random_interactions(40, 1009)
    results = []
    for count in (1, 2, 3, 4):
        at_threads(count)
        results.append(
            train_with(
                "shared", train, loss=loss, exclude_seen=exclude_seen, epochs=3, dropout=0.1, clip_norm=0.1, dim=16,
                n_negatives=140,
            )
        )  # fmt: skip
    assert_same(results)


@pytest.mark.parametrize("loss", ["screened", "logistic"])
def test_how_often_it_is_called_changes_nothing(train, monkeypatch, loss):
    results = []
    for stretches, piece in ((20, 64), (1, 1), (3, 2)):
        monkeypatch.setattr("multimargin.train.loop._STRETCHES", stretches)
        monkeypatch.setattr("multimargin.kernels.shared_epoch.launch._PIECE", piece)
        results.append(train_with("shared", train, loss=loss, batch_size=8, dropout=0.1, epochs=2))
    for users, items, losses in results[1:]:
        assert losses == pytest.approx(results[0][2], rel=1e-12)
        assert torch.equal(users, results[0][0])
        assert torch.equal(items, results[0][1])


@pytest.mark.parametrize("loss", ["screened", "squares"])
def test_resumed_equals_uninterrupted(train, tmp_path, loss):
    def fit(epochs, **arguments):
        trainer = Trainer(
            epochs=epochs, n_negatives=53, batch_size=32, learning_rate=0.01, engine="shared", device="cpu"
        )
        encoder, negatives = MF(8, init_std=0.3), SharedNegatives(exclude_seen=True)
        trainer.fit(train, encoder=encoder, loss=LOSSES[loss](), negatives=negatives, progress=False, **arguments)
        return [table.detach() for table in encoder.tables()]

    fit(2, run=tmp_path)
    for found, wanted in zip(fit(4, run=tmp_path, resume=True), fit(4), strict=True):
        assert torch.equal(found, wanted)


def test_the_published_start_is_followed(train):
    """Rows of norm 1e-3 and a clipped gradient: the first steps of a published run."""
    arguments = {"init_std": 1e-4, "learning_rate": 1e-4, "clip_norm": 10.0, "dropout": 0.1, "dim": 64}
    plain = train_with("plain", train, **arguments, loss=MultiMarginLoss(neg_weight=700))
    users, items, losses = train_with("shared", train, **arguments, loss=MultiMarginLoss(neg_weight=700))
    assert losses == pytest.approx(plain[2], rel=1e-4)
    for found, exact in ((users, plain[0]), (items, plain[1])):
        assert ((found.double() - exact).norm() / exact.norm()).item() < 1e-2  # steps are as large as the rows


def test_few_pairs_are_scored_one_by_one(train, monkeypatch):
    """What the screen lets through is little more than what has a gradient."""
    passed, active, pairs = [], [], []
    run = SharedEpoch.run

    def watched(self, *arguments, **keywords):
        result = run(self, *arguments, **keywords)
        n_pool = self._room.counts[0]  # the last step's
        bits = np.unpackbits(self._room.found.view(np.uint8), axis=1, bitorder="little")[:, :n_pool]
        passed.append(bits.sum())
        active.append(self._room.n_active.sum())
        pairs.append(bits.size)
        return result

    monkeypatch.setattr(SharedEpoch, "run", watched)
    loss = MultiMarginLoss((0.3,), (1.0,), neg_weight=3.0)
    train_with("shared", random_interactions(300, 4001), loss=loss, dim=64, n_negatives=640, batch_size=200)
    assert 0 < sum(active) <= sum(passed) < 3 * sum(active) < 0.1 * sum(pairs)


def test_a_user_without_an_item_left_is_named():
    with pytest.raises(NoNegativesError, match="must have an item left"):
        train_with("shared", random_interactions(5, 3, 40), exclude_seen=True)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_a_diverged_table_shows_in_the_loss(train, loss):
    encoder = MF(7)
    trainer = Trainer(n_negatives=50, engine="shared", device="cpu", epochs=1)
    make = encoder.build

    def build(train, *, rng):
        make(train, rng=rng)
        encoder.item_table.data[int(train.indices[0])] = np.nan

    encoder.build = build
    with pytest.raises(DivergedError, match="loss must stay finite"):
        trainer.fit(train, encoder=encoder, loss=LOSSES[loss](), negatives=SharedNegatives(), progress=False)


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="features of x86 processors")
def test_a_processor_without_products_of_bytes_screens_in_float32(tmp_path):
    """The same pairs and, to rounding, the same tables."""
    code = """
import sys
import test_shared_epoch as here
from multimargin.kernels.screening import HAS_INT8
assert not HAS_INT8
here.assert_engines_agree(here.random_interactions(), loss="screened", dropout=0.1, epochs=2)
"""
    cpu = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+avx2,+fma", "NUMBA_CACHE_DIR": str(tmp_path)}
    paths = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])}
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | cpu | paths)
