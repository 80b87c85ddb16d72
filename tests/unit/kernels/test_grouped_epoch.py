"""The kernel for whole users against the whole catalogue: equals its reference, the step path, whatever the threads."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from plain_training import random_interactions

from multimargin.encoders import MF
from multimargin.errors import DivergedError, NoNegativesError
from multimargin.kernels.draws import dropout_scale
from multimargin.kernels.grouped_epoch.reference import batch_loss
from multimargin.losses import (
    CosineContrastiveLoss,
    GeneralizedBCELoss,
    MeanSquaredErrorLoss,
    MultiMarginLoss,
    SigmoidCrossEntropyLoss,
)
from multimargin.negatives import AllNegatives
from multimargin.rng import Streams
from multimargin.train.batches import Batches
from multimargin.train.loop import Trainer

# as for the kernel of sampled negatives: Adam amplifies the rounding of the few gradients that nearly cancel
TOLERANCE = 2e-5
MOVEMENT = 5e-3

MML = {"margins": (-0.1, 0.1, 0.3), "margin_weights": (0.2, 0.3, 0.5), "pos_weight": 0.7, "neg_weight": 3.0}

SMOOTH = {
    "squares": lambda: MeanSquaredErrorLoss(pos_weight=0.7, neg_weight=3.0),
    "logistic": lambda: SigmoidCrossEntropyLoss(0.3, pos_weight=0.7, neg_weight=3.0),
}


def train_with(
    engine, train, *, similarity="cosine", dim=7, loss=None, exclude_seen=False, init_std=0.3, epochs=1, **options
):
    """Return the tables and the losses of the epochs; ``engine`` "plain" is the reference in float64, dense Adam."""
    options = {"batch_size": 32, "learning_rate": 0.01, "dropout": 0.0, "clip_norm": None} | options
    trainer = Trainer(
        epochs=epochs, n_negatives=None, engine="auto" if engine == "plain" else engine, device="cpu", seed=5, **options
    )
    encoder, loss = MF(dim, similarity=similarity, init_std=init_std), loss or MultiMarginLoss(**MML)
    if engine == "plain":
        return train_plainly(trainer, train, encoder, loss, exclude_seen)
    negatives = AllNegatives(exclude_seen=exclude_seen)
    training = trainer.fit(train, encoder=encoder, loss=loss.float(), negatives=negatives, progress=False)
    return *(table.detach() for table in encoder.tables()), [row["loss"] for row in training.history]


def train_plainly(trainer, train, encoder, loss, exclude_seen):
    streams, loss = Streams(trainer.seed), loss.double()
    encoder.build(train, rng=streams.generator("init"))
    tables = [torch.nn.Parameter(table.detach().double()) for table in encoder.tables()]
    adam = torch.optim.Adam(tables, lr=trainer.learning_rate)
    n, history, dim = len(train), [], encoder.embedding_dim
    for epoch in range(trainer.epochs):
        people = streams.generator("shuffle", epoch).permutation(np.flatnonzero(train.user_counts)).tolist()
        place, total = epoch * n, 0.0
        while people:
            users, owners, positives, scales = [], [], [], []
            while people and len(positives) < trainer.batch_size:
                user = people.pop(0)
                key = np.uint64(streams.key("dropout"))
                scales.append(dropout_scale(key, place + len(positives), 1, dim, trainer.dropout)[0])
                owners += [len(users)] * len(train.items_of(user))
                positives += train.items_of(user).tolist()
                users.append(user)
            value = batch_loss(
                *tables, *(torch.tensor(each) for each in (users, owners, positives)),
                loss=loss, similarity=encoder.similarity, exclude_seen=exclude_seen,
                query_scale=torch.from_numpy(np.array(scales)).double() if trainer.dropout else None,
            )  # fmt: skip
            adam.zero_grad()
            value.backward()
            if trainer.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(tables, trainer.clip_norm)
            if trainer.weight_decay:  # of the batch's users, and of items with a pair that has a gradient
                for table, moved in zip(tables, (users, tables[1].grad.any(dim=1).nonzero()[:, 0]), strict=True):
                    table.grad[moved] += trainer.weight_decay * table.detach()[moved]
            adam.step()
            place += len(positives)
            total += value.item() * len(positives)
        history.append(total / n)
    return tables[0].detach(), tables[1].detach(), history


def assert_engines_agree(train, **arguments):
    *exact, losses = train_with("plain", train, **arguments)
    *start, _ = train_with("plain", train, **(arguments | {"learning_rate": 1e-30}))
    for engine in ("grouped", "steps"):
        *tables, found_losses = train_with(engine, train, **arguments)
        assert found_losses == pytest.approx(losses, rel=1e-5, abs=1e-7)
        for name, found, wanted, before in zip(("users", "items"), tables, exact, start, strict=True):
            off = (found.double() - wanted).abs()
            assert off.quantile(0.99) <= TOLERANCE, f"{engine}, {name}"
            assert off.norm() <= MOVEMENT * (wanted - before).norm(), f"{engine}, {name}"


@pytest.fixture(scope="module")
def train():
    return random_interactions()


@pytest.mark.parametrize(
    ("similarity", "exclude_seen", "dropout", "clip_norm"),
    list(product(("cosine", "dot"), (False, True), (0.0, 0.1), (None, 0.05))),
)
def test_equals_step_by_step_and_plain_pytorch(train, similarity, exclude_seen, dropout, clip_norm):
    assert_engines_agree(train, similarity=similarity, exclude_seen=exclude_seen, dropout=dropout, clip_norm=clip_norm)


@pytest.mark.parametrize("dim", [1, 2, 16, 67])
def test_every_width(train, dim):
    assert_engines_agree(train, dim=dim, similarity="dot" if dim == 1 else "cosine", dropout=0.1)


@pytest.mark.parametrize("n_items", [3, 8, 97, 701])
@pytest.mark.parametrize("batch_size", [100, 10_000])  # about 20 users, and all who have interactions
def test_every_size_of_batch_and_catalogue(n_items, batch_size):
    assert_engines_agree(random_interactions(40, n_items), batch_size=batch_size, clip_norm=0.1)


def test_one_user_at_a_time():
    assert_engines_agree(random_interactions(12, 23, 3), batch_size=1)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_weight_decay(train, similarity):
    assert_engines_agree(train, similarity=similarity, weight_decay=0.1, clip_norm=0.05)


@pytest.mark.parametrize(
    "loss",
    [
        CosineContrastiveLoss(0.2, neg_weight=2.0),
        CosineContrastiveLoss(-2.0, neg_weight=1.0),  # every pair has a gradient
        CosineContrastiveLoss(2.0),  # no negative has
        CosineContrastiveLoss(0.1, pos_weight=0.0, neg_weight=2.0),
        CosineContrastiveLoss(0.1, neg_weight=0.0),
        MultiMarginLoss((0.1, 0.2), (0.0, 1.0), neg_weight=2.0),
    ],
    ids=["ccl", "all", "none", "no-positive", "weight-0", "slope-0"],
)
def test_every_hinge_loss(train, loss):
    assert_engines_agree(train, loss=loss)


@pytest.mark.parametrize(
    ("loss", "similarity", "exclude_seen"), list(product(sorted(SMOOTH), ("cosine", "dot"), (False, True)))
)
def test_every_pair_has_a_gradient(train, loss, similarity, exclude_seen):
    options = {"dropout": 0.1, "clip_norm": 0.05, "weight_decay": 0.1, "epochs": 2}
    assert_engines_agree(train, loss=SMOOTH[loss](), similarity=similarity, exclude_seen=exclude_seen, **options)


@pytest.mark.parametrize(
    "loss",
    [
        MeanSquaredErrorLoss(pos_weight=0.0),
        MeanSquaredErrorLoss(neg_weight=0.0),
        SigmoidCrossEntropyLoss(0.01),  # logits of a hundred
        GeneralizedBCELoss(0.5, neg_weight=20.0),
    ],
    ids=["push", "pull", "steep", "gbce"],
)
def test_every_smooth_loss(train, loss):
    assert_engines_agree(train, loss=loss)


@pytest.mark.parametrize("n_items", [3, 8, 701])
@pytest.mark.parametrize(("batch_size", "dim"), [(100, 1), (10_000, 67)])
def test_every_size_where_every_pair_has_a_gradient(n_items, batch_size, dim):
    arguments = {"batch_size": batch_size, "similarity": "dot", "dim": dim, "clip_norm": 0.1}
    assert_engines_agree(random_interactions(40, n_items), loss=MeanSquaredErrorLoss(), **arguments)


def test_the_published_start_is_followed(train):
    arguments = {"init_std": 1e-4, "learning_rate": 1e-4, "clip_norm": 10.0, "dropout": 0.1, "dim": 64}
    plain = train_with("plain", train, **arguments, loss=MultiMarginLoss(neg_weight=700))
    users, items, losses = train_with("grouped", train, **arguments, loss=MultiMarginLoss(neg_weight=700))
    assert losses == pytest.approx(plain[2], rel=1e-4)
    for found, exact in ((users, plain[0]), (items, plain[1])):
        assert ((found.double() - exact).norm() / exact.norm()).item() < 1e-2  # steps are as large as the rows


@pytest.mark.parametrize(
    ("similarity", "loss"), [("cosine", "hinges"), ("dot", "hinges"), ("cosine", "squares"), ("cosine", "logistic")]
)
def test_the_number_of_threads_changes_nothing(at_threads, similarity, loss):
    train = random_interactions(40, 1009)
    results = []
    for count in (1, 2, 3):
        at_threads(count)
        arguments = {"similarity": similarity, "epochs": 3, "dropout": 0.1, "clip_norm": 0.1, "dim": 16}
        results.append(train_with("grouped", train, loss=SMOOTH[loss]() if loss in SMOOTH else None, **arguments))
    for users, items, losses in results[1:]:
        assert torch.equal(users, results[0][0])
        assert torch.equal(items, results[0][1])
        assert losses == results[0][2]


def test_how_often_it_is_called_changes_nothing(train, monkeypatch):
    results = []
    for stretches, piece in ((20, 16), (1, 1), (3, 2)):
        monkeypatch.setattr("multimargin.train.loop._STRETCHES", stretches)
        monkeypatch.setattr("multimargin.kernels.grouped_epoch.launch._PIECE", piece)
        results.append(train_with("grouped", train, batch_size=8, dropout=0.1, epochs=2))
    for users, items, losses in results[1:]:
        assert losses == pytest.approx(results[0][2], rel=1e-12)
        assert torch.equal(users, results[0][0])
        assert torch.equal(items, results[0][1])


def test_pieces_change_nothing_not_even_the_last_bit_of_the_loss(train, monkeypatch):
    """How long they are depends on the clock."""
    results = []
    for piece in (16, 1, 3):
        monkeypatch.setattr("multimargin.kernels.grouped_epoch.launch._PIECE", piece)
        results.append(train_with("grouped", train, batch_size=8, epochs=2)[2])
    assert results[0] == results[1] == results[2]


def test_a_user_without_an_item_left_is_named():
    train = random_interactions(5, 3, 40)  # everybody has seen everything
    with pytest.raises(NoNegativesError, match="must have an item left"):
        train_with("grouped", train, exclude_seen=True)


def test_a_diverged_table_shows_in_the_loss(train):
    encoder = MF(7)
    trainer = Trainer(n_negatives=None, engine="grouped", device="cpu", epochs=1)
    make = encoder.build

    def build(train, *, rng):
        make(train, rng=rng)
        encoder.item_table.data[int(train.indices[0])] = np.nan

    encoder.build = build
    with pytest.raises(DivergedError, match="loss must stay finite"):
        trainer.fit(train, encoder=encoder, loss=MultiMarginLoss(), negatives=AllNegatives(), progress=False)


@pytest.mark.parametrize("by_user", [False, True])
@pytest.mark.parametrize("batch_size", [1, 7, 32, 10_000])
def test_batches(train, by_user, batch_size):
    batches = Batches(train, batch_size, by_user=by_user)
    order = batches.order(np.random.default_rng(0))
    n = len(train)
    assert sorted(order.tolist()) == list(range(n))
    ends = batches.ends(order, 0, n).tolist()
    assert ends[-1] == n
    users = train.user_index[order]
    for first, last in pairwise([0, *ends]):
        if not by_user:
            assert last - first == min(batch_size, n - first)
            continue
        assert last == n or users[last - 1] != users[last]  # whole users
        assert last == n or last - first >= batch_size
        assert last - first - np.sum(users[first:last] == users[last - 1]) < batch_size  # and none too many
    # a part of an epoch is cut as the whole is
    middle = ends[len(ends) // 2]
    assert [*batches.ends(order, 0, middle), *batches.ends(order, middle, n)] == ends
    assert len(batches.ends(order, n, n)) == 0
