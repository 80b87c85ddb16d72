"""The engine for any loss on scores: equals plain PyTorch and the step-by-step path, whatever the threads."""

from itertools import product

import numpy as np
import pytest
import torch
from plain_training import random_interactions, train_plainly

from multimargin.encoders import MF
from multimargin.errors import ArgumentError, DivergedError, NoNegativesError
from multimargin.losses import (
    AlignmentUniformityLoss,
    BilateralRowLoss,
    BPRLoss,
    CrossBatchMemoryLoss,
    DecoupledSoftmaxLoss,
    GroupedSoftmaxLoss,
    MeanSquaredErrorLoss,
    MultiMarginLoss,
    PairwiseSoftmaxLoss,
    SampledSoftmaxLoss,
)
from multimargin.losses.base import Loss
from multimargin.negatives import (
    AllNegatives,
    DynamicNegatives,
    InBatchNegatives,
    InterpolatedNegatives,
    PopularityNegatives,
    SharedNegatives,
    UniformNegatives,
)
from multimargin.train.loop import Trainer

# as for the whole-epoch kernels: Adam amplifies the rounding of the few gradients that nearly cancel
TOLERANCE = 3e-5
MOVEMENT = 5e-3


def train_with(
    engine, train, *, similarity="cosine", dim=7, loss=None, negatives=None, init_std=0.3, epochs=1, **options
):
    """Return the tables and the losses of the epochs; ``engine`` "plain" is PyTorch in float64."""
    options = {"batch_size": 32, "n_negatives": 19, "learning_rate": 0.01, "dropout": 0.0, "clip_norm": None} | options
    trainer = Trainer(epochs=epochs, engine="auto" if engine == "plain" else engine, device="cpu", seed=5, **options)
    encoder = MF(dim, similarity=similarity, init_std=init_std)
    loss = SampledSoftmaxLoss(0.2) if loss is None else loss.float()
    parts = {"encoder": encoder, "loss": loss, "negatives": negatives or UniformNegatives()}
    if engine == "plain":
        return train_plainly(trainer, train, **parts)
    training = trainer.fit(train, **parts, progress=False)
    return *(table.detach() for table in encoder.tables()), [row["loss"] for row in training.history]


def assert_agree(train, *, reference="plain", **arguments):
    *exact, losses = train_with(reference, train, **arguments)
    *start, _ = train_with(reference, train, **(arguments | {"learning_rate": 1e-30}))
    *tables, found_losses = train_with("scored", train, **arguments)
    assert found_losses == pytest.approx(losses, rel=1e-5, abs=4e-6)  # logarithms that cancel, in float32
    for name, found, wanted, before in zip(("users", "items"), tables, exact, start, strict=True):
        off = (found.double() - wanted).abs()
        assert off.quantile(0.99) <= TOLERANCE, name
        assert off.norm() <= MOVEMENT * (wanted - before).norm(), name


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


LOSSES = {
    "softmax": lambda: SampledSoftmaxLoss(0.2, neg_weight=5.0),
    "decoupled": lambda: BilateralRowLoss(0.3, 0.2),
    "bpr": BPRLoss,
    "grouped": lambda: GroupedSoftmaxLoss(0.2),
    "squares": lambda: MeanSquaredErrorLoss(pos_weight=0.7, neg_weight=3.0),
    "unknown": lambda: PairwiseSoftmaxLoss("atan", 0.2),  # to the kernels, so that it is PyTorch's
    "margins": lambda: MultiMarginLoss((-0.1, 0.3), (0.5, 0.5), neg_weight=3.0),  # many pairs without a gradient
}
SAMPLERS = {"distinct": UniformNegatives, "shared": SharedNegatives}


@pytest.mark.parametrize(
    ("loss", "sampler", "exclude_seen", "dropout", "clip_norm"),
    list(product(LOSSES, SAMPLERS, (False, True), (0.0, 0.1), (None, 0.05))),
)
def test_equals_plain_pytorch(train, loss, sampler, exclude_seen, dropout, clip_norm):
    negatives = SAMPLERS[sampler](exclude_seen=exclude_seen)
    assert_agree(train, loss=LOSSES[loss](), negatives=negatives, dropout=dropout, clip_norm=clip_norm)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_dot_products_and_weight_decay(train, loss, sampler):
    assert_agree(
        train, loss=LOSSES[loss](), negatives=SAMPLERS[sampler](), similarity="dot", weight_decay=0.1, dropout=0.1,
        clip_norm=0.1,
    )  # fmt: skip


@pytest.mark.parametrize("dim", [1, 2, 16, 64, 67])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_width(train, sampler, dim):
    similarity = "dot" if dim == 1 else "cosine"
    assert_agree(train, negatives=SAMPLERS[sampler](), dim=dim, similarity=similarity, dropout=0.1)


@pytest.mark.parametrize("n_negatives", [1, 15, 64, 150])  # of 97 items: many are drawn more than once
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_number_of_negatives(train, sampler, n_negatives):
    assert_agree(train, negatives=SAMPLERS[sampler](exclude_seen=True), n_negatives=n_negatives)


@pytest.mark.parametrize("batch_size", [1, 13, 1000])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_size_of_batch(sampler, batch_size):
    train = random_interactions(12, 23, 3)
    assert_agree(train, negatives=SAMPLERS[sampler](), batch_size=batch_size, n_negatives=31)


def test_rows_that_drift():
    assert_agree(random_interactions(40, 1009), epochs=4, init_std=0.1, dropout=0.1, n_negatives=3)


class WithTable(Loss):
    """Has a table of its own with sparse gradients, and one number; reads the row of each user."""

    needs = frozenset({"users"})

    def __init__(self):
        super().__init__()
        self.offsets = torch.nn.Embedding(40, 1, sparse=True)
        torch.nn.init.constant_(self.offsets.weight, 0.1)
        self.scale = torch.nn.Parameter(torch.ones(()))

    def rows_read(self, indices):
        return {self.offsets.weight: indices["users"]}

    def forward(self, pos_scores, neg_scores, *, users=None, mask=None, **_):
        behind = neg_scores - pos_scores[:, None] + self.offsets(users)
        return torch.nn.functional.softplus(behind * self.scale).mean()


def remembering():
    """Return a loss whose companions are the same for all rows of a batch."""
    return CrossBatchMemoryLoss(0.1, neg_weight=3.0, memory_weight=2.0, memory_size=24)


@pytest.mark.parametrize(
    ("loss", "negatives", "options"),
    [
        (DecoupledSoftmaxLoss, PopularityNegatives, {}),
        (SampledSoftmaxLoss, InBatchNegatives, {}),
        (BPRLoss, DynamicNegatives, {}),
        (BPRLoss, lambda: InterpolatedNegatives(), {}),
        (SampledSoftmaxLoss, AllNegatives, {}),
        (SampledSoftmaxLoss, lambda: AllNegatives(exclude_seen=True), {"dropout": 0.2}),
        (WithTable, UniformNegatives, {"clip_norm": 0.01, "weight_decay": 0.1}),
        (WithTable, SharedNegatives, {}),
        (remembering, UniformNegatives, {"dropout": 0.2}),
        (remembering, SharedNegatives, {"clip_norm": 0.01}),
    ],
)
def test_equals_step_by_step(train, loss, negatives, options):
    """Laws, masks, scorers, mixes, whole users, parameters of the loss's own, companions."""
    results = []
    for engine in ("steps", "scored"):
        own = loss()
        *tables, losses = train_with(engine, train, loss=own, negatives=negatives(), epochs=2, **options)
        results.append((*tables, losses, [parameter.detach() for parameter in own.parameters()]))
    (users, items, losses, own), found = results
    assert found[2] == pytest.approx(losses, rel=1e-5)
    for one, other in zip((users, items, *own), (*found[:2], *found[3]), strict=True):
        torch.testing.assert_close(other, one, atol=3e-5, rtol=1e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("loss", ["softmax", "unknown"])
def test_the_number_of_threads_changes_nothing(at_threads, loss, sampler):
    results = []
    for count in (1, 2, 3, 4):
        at_threads(count)
        results.append(
            train_with(
                "scored", random_interactions(40, 1009), negatives=SAMPLERS[sampler](exclude_seen=True), epochs=3,
                loss=LOSSES[loss](), dropout=0.1, clip_norm=0.1, dim=16, n_negatives=140, batch_size=64,
            )
        )  # fmt: skip
    assert_same(results)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("loss", ["softmax", "unknown"])
def test_how_often_it_is_called_changes_nothing(train, monkeypatch, loss, sampler):
    results = []
    for stretches, piece in ((20, 64), (1, 1), (3, 2)):
        monkeypatch.setattr("multimargin.train.loop._STRETCHES", stretches)
        monkeypatch.setattr("multimargin.train.scored._PIECE", piece)
        results.append(
            train_with(
                "scored", train, loss=LOSSES[loss](), negatives=SAMPLERS[sampler](), batch_size=8, dropout=0.1, epochs=2
            )
        )  # fmt: skip
    for users, items, losses in results[1:]:
        assert losses == pytest.approx(results[0][2], rel=1e-12)
        assert torch.equal(users, results[0][0])
        assert torch.equal(items, results[0][1])


@pytest.mark.parametrize("loss", [BPRLoss, PairwiseSoftmaxLoss, WithTable])
def test_resumed_equals_uninterrupted(train, tmp_path, loss):
    def fit(epochs, **arguments):
        trainer = Trainer(
            epochs=epochs, n_negatives=9, batch_size=32, learning_rate=0.01, engine="scored", device="cpu"
        )
        encoder = MF(8, init_std=0.3)
        trainer.fit(train, encoder=encoder, loss=loss(), negatives=UniformNegatives(), progress=False, **arguments)
        return [table.detach() for table in encoder.tables()]

    fit(2, run=tmp_path)
    for found, wanted in zip(fit(4, run=tmp_path, resume=True), fit(4), strict=True):
        assert torch.equal(found, wanted)


def test_an_interruption_in_the_loss_leaves_the_engine_usable(train):
    """What one half of a step leaves behind does not disturb the next one."""

    class Interrupted(PairwiseSoftmaxLoss):
        calls = 0

        def forward(self, *scores, **more):
            self.calls += 1
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().forward(*scores, **more)

    loss, encoder = Interrupted(), MF(8, init_std=0.3)
    trainer = Trainer(epochs=1, n_negatives=9, batch_size=32, engine="scored", device="cpu")
    training = trainer.fit(train, encoder=encoder, loss=loss, negatives=UniformNegatives(), progress=False)
    assert training.stopped == "interrupted"
    assert all(table.isfinite().all() for table in encoder.tables())


def test_torch_has_its_threads_back(train):
    before = torch.get_num_threads()
    seen = []

    class Watching(PairwiseSoftmaxLoss):
        def forward(self, *scores, **more):
            seen.append(torch.get_num_threads())
            return super().forward(*scores, **more)

    train_with("scored", train, loss=Watching())
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


def test_scores_that_a_loss_keeps_stay_as_they_are(train):
    kept = []

    class Keeping(PairwiseSoftmaxLoss):
        def forward(self, pos_scores, neg_scores, **more):
            kept.append((neg_scores.detach(), neg_scores.detach().clone()))
            return super().forward(pos_scores, neg_scores, **more)

    train_with("scored", train, loss=Keeping())
    assert all(torch.equal(view, copy) for view, copy in kept)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_user_without_an_item_left_is_named(sampler):
    with pytest.raises(NoNegativesError, match="must have an item left"):
        train_with("scored", random_interactions(5, 3, 40), negatives=SAMPLERS[sampler](exclude_seen=True))


def test_vectors_are_not_scores(train):
    with pytest.raises(ArgumentError, match="AlignmentUniformityLoss needs positive_vectors, user_vectors, which are"):
        train_with("scored", train, loss=AlignmentUniformityLoss())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_diverged_table_shows_in_the_loss(train, loss):
    encoder = MF(7)
    trainer = Trainer(n_negatives=50, engine="scored", device="cpu", epochs=1)
    make = encoder.build

    def build(train, *, rng):
        make(train, rng=rng)
        encoder.item_table.data[int(train.indices[0])] = np.nan

    encoder.build = build
    with pytest.raises(DivergedError, match="loss must stay finite"):
        trainer.fit(train, encoder=encoder, loss=LOSSES[loss](), negatives=UniformNegatives(), progress=False)
