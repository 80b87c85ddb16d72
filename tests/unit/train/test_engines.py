"""The engines: which one serves what, what a step hands to sampler, loss and optimiser, and clipping."""

import math

import numpy as np
import pytest
import torch
from plain_training import random_interactions, train_plainly

from multimargin import negatives as negative_samplers
from multimargin.encoders import MF
from multimargin.encoders.base import Encoder
from multimargin.errors import ArgumentError, NoNegativesError
from multimargin.losses import (
    AlignmentUniformityLoss,
    BPRLoss,
    CosineContrastiveLoss,
    MeanSquaredErrorLoss,
    MultiMarginLoss,
)
from multimargin.losses.base import Loss
from multimargin.negatives import UniformNegatives
from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.optim import LazyAdam
from multimargin.train.clipping import clip_global_norm
from multimargin.train.engines import Fused, Grouped, Scored, Shared, Steps, choose_engine
from multimargin.train.loop import Trainer
from multimargin.train.setting import Setting


class SharedNegatives(NegativeSampler):
    """One set for the whole batch, drawn in proportion to how often an item occurs."""

    def build(self, train):
        self.law = train.item_counts / train.item_counts.sum()

    def sample(self, users, positives, n, *, rng):
        index = rng.generator().choice(len(self.law), n, p=self.law)
        return Negatives(index, np.log(self.law[index]).astype(np.float32))

    def probabilities(self, users):
        return np.tile(self.law, (len(users), 1))


class MaskedNegatives(NegativeSampler):
    """The same few items for everybody, of which only every other counts."""

    def build(self, train):
        pass

    def sample(self, users, positives, n, *, rng):
        index = np.tile(np.arange(n), (len(users), 1))
        return Negatives(index, mask=index % 2 == 0)

    def probabilities(self, users):
        raise NotImplementedError


class Averaged(Encoder):
    """Tables that are computed: each row plus the mean of all."""

    similarity = "cosine"

    def build(self, train, *, rng):
        self.inner = MF(8, init_std=0.3)
        self.inner.build(train, rng=rng)

    def tables(self):
        return tuple(table + table.mean(0) for table in self.inner.tables())


class SpyLoss(Loss):
    """Remembers what it was given."""

    needs = frozenset({"log_q"})

    def __init__(self):
        super().__init__()
        self.given = []

    def forward(self, pos_scores, neg_scores, *, log_q=None, mask=None):
        self.given.append((pos_scores.detach(), neg_scores.detach(), log_q, mask))
        return neg_scores.square().mean() - pos_scores.mean()


@pytest.fixture
def train():
    return random_interactions()


def setting(train, *, encoder=None, loss=None, negatives=None, **changes):
    encoder, negatives = encoder or MF(8, init_std=0.3), negatives or UniformNegatives()
    encoder.build(train, rng=np.random.default_rng(0))
    negatives.build(train)
    values = {
        "train": train, "encoder": encoder, "loss": loss or MultiMarginLoss((0.1, 0.3), (0.5, 0.5), neg_weight=700),
        "negatives": negatives, "optimizer": LazyAdam(encoder.parameters(), lr=0.01), "n_negatives": 6,
        "batch_size": 32, "clip_norm": None, "dropout": 0.0, "negatives_key": 1, "dropout_key": 2, "positives_key": 3,
            "encoder_key": 4,
    } | changes  # fmt: skip
    return Setting(**values)


def run(setting, engine=Steps):
    order = setting.batches.order(np.random.default_rng(1))
    return engine(setting).run(order, 0, len(order), place=0)


def test_auto_takes_the_compiled_engine_where_it_applies(train):
    assert isinstance(choose_engine("auto", setting(train)), Fused)
    assert isinstance(choose_engine("fused", setting(train)), Fused)
    assert isinstance(choose_engine("steps", setting(train)), Steps)
    everything = setting(train, negatives=negative_samplers.AllNegatives())
    assert isinstance(choose_engine("auto", everything), Grouped)
    assert isinstance(choose_engine("grouped", everything), Grouped)
    assert isinstance(choose_engine("steps", everything), Steps)
    pool = setting(train, negatives=negative_samplers.SharedNegatives())
    assert isinstance(choose_engine("auto", pool), Shared)
    assert isinstance(choose_engine("shared", pool), Shared)
    assert isinstance(choose_engine("steps", pool), Steps)
    assert isinstance(choose_engine("auto", setting(train, loss=MeanSquaredErrorLoss())), Fused)
    many = {"n_negatives": 100}  # all of which have a gradient
    assert isinstance(choose_engine("auto", setting(train, loss=MeanSquaredErrorLoss(), **many)), Scored)
    assert isinstance(choose_engine("fused", setting(train, loss=MeanSquaredErrorLoss(), **many)), Fused)
    assert isinstance(choose_engine("auto", setting(train, **many)), Fused)
    everything_squared = setting(train, negatives=negative_samplers.AllNegatives(), loss=MeanSquaredErrorLoss())
    assert isinstance(choose_engine("auto", everything_squared), Grouped)
    squares = setting(train, negatives=negative_samplers.SharedNegatives(), loss=MeanSquaredErrorLoss())
    assert isinstance(choose_engine("auto", squares), Shared)
    popular = setting(train, negatives=negative_samplers.SharedNegatives(negative_samplers.PopularityNegatives()))
    assert isinstance(choose_engine("auto", popular), Scored)
    for name, wrong, why in (
        ("fused", everything, "drawn"),
        ("grouped", setting(train), "not AllNegatives"),
        ("shared", setting(train), "UniformNegatives is not SharedNegatives"),
        ("shared", popular, "A pool of PopularityNegatives is not drawn"),
    ):
        with pytest.raises(ArgumentError, match=f"engine must be 'auto' or 'steps' here; got '{name}'.*{why}"):
            choose_engine(name, wrong)


@pytest.mark.parametrize(
    ("changes", "why", "instead"),
    [
        ({"loss": BPRLoss()}, "BPRLoss is not a sum over pairs", Scored),
        ({"negatives": SharedNegatives()}, "SharedNegatives is not drawn inside the kernel", Scored),
        ({"encoder": Averaged()}, "Averaged computes its tables", Steps),
    ],
)
def test_where_it_does_not_apply_auto_takes_another_and_fused_says_why(train, changes, why, instead):
    assert isinstance(choose_engine("auto", setting(train, **changes)), instead)
    with pytest.raises(ArgumentError, match=f"engine must be 'auto' or 'steps' here; got 'fused'. {why}"):
        choose_engine("fused", setting(train, **changes))


@pytest.mark.parametrize("engine", ["steps", "fused", "scored", "shared", "grouped"])
def test_a_weight_set_from_the_data_is_that_weight_in_every_engine(train, engine):
    samplers = {"shared": negative_samplers.SharedNegatives, "grouped": negative_samplers.AllNegatives}
    found = []
    for weight in ("auto", 10 * math.sqrt(train.n_users * train.n_items / len(train))):
        encoder, loss = MF(8, init_std=0.3), MultiMarginLoss((0.1, 0.3), (0.5, 0.5), neg_weight=weight)
        trainer = Trainer(n_negatives=6, batch_size=32, epochs=2, learning_rate=0.01, engine=engine)
        negatives = samplers.get(engine, UniformNegatives)()
        trainer.fit(train, encoder=encoder, loss=loss, negatives=negatives, progress=False)
        found.append([table.detach() for table in encoder.tables()])
    for automatic, given in zip(*found, strict=True):
        assert torch.equal(automatic, given)


def test_float64_tables_go_step_by_step(train):
    encoder = MF(8)
    values = setting(train, encoder=encoder)
    encoder.double()
    assert isinstance(choose_engine("auto", values), Steps)
    with pytest.raises(ArgumentError, match=r"The tables are torch.float64 on cpu"):
        choose_engine("fused", values)


def test_what_is_not_a_score_goes_step_by_step(train):
    values = setting(train, loss=AlignmentUniformityLoss())
    assert isinstance(choose_engine("auto", values), Steps)
    with pytest.raises(ArgumentError, match=r"got 'scored'. AlignmentUniformityLoss needs positive_vectors, user_vec"):
        choose_engine("scored", values)


@pytest.mark.parametrize("engine", [Fused, Scored, Steps])
def test_a_user_with_nothing_left_to_draw_is_named(engine):
    train = random_interactions(5, 3, 40)  # everybody has seen everything
    with pytest.raises(NoNegativesError, match="must have an item left to draw"):
        run(setting(train, negatives=UniformNegatives(exclude_seen=True)), engine)


def test_the_loss_is_handed_mask_and_probabilities_that_it_needs(train):
    masked, shared = SpyLoss(), SpyLoss()
    run(setting(train, loss=masked, negatives=MaskedNegatives()))
    run(setting(train, loss=shared, negatives=SharedNegatives()))
    pos_scores, neg_scores, log_q, mask = masked.given[0]
    assert pos_scores.shape == (32,)
    assert neg_scores.shape == mask.shape == (32, 6)
    assert mask[0].tolist() == [True, False] * 3
    assert log_q is None
    assert shared.given[0][2].shape == (32, 6)
    assert shared.given[0][3] is None


def test_a_loss_that_does_not_need_probabilities_is_not_handed_them(train):
    class Deaf(SpyLoss):
        needs = frozenset()

    loss = Deaf()
    run(setting(train, loss=loss, negatives=SharedNegatives()))
    assert loss.given[0][2] is None


def test_the_last_batch_counts_for_its_size(train):
    loss = SpyLoss()
    total = run(setting(train, loss=loss))
    assert [len(given[0]) for given in loss.given][-1] == len(train) % 32 != 0
    expected = sum(
        (neg.double().square().mean() - pos.double().mean()).item() * len(pos) for pos, neg, _, _ in loss.given
    )
    assert total == pytest.approx(expected, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("loss", [BPRLoss(), CosineContrastiveLoss(0.1, neg_weight=3.0)])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_any_loss_step_by_step_equals_plain_pytorch(train, loss, dropout):
    trainer = Trainer(
        n_negatives=6, batch_size=32, learning_rate=0.01, epochs=1, dropout=dropout, engine="steps", device="cpu"
    )
    encoder = MF(8, similarity="dot", init_std=0.3)
    users, items, losses = train_plainly(trainer, train, encoder=encoder, loss=loss, negatives=UniformNegatives())
    training = trainer.fit(train, encoder=encoder, loss=loss.float(), negatives=UniformNegatives(), progress=False)
    assert training.history[0]["loss"] == pytest.approx(losses[0], rel=1e-5)
    for found, exact in zip(encoder.tables(), (users, items), strict=True):
        assert (found.detach().double() - exact).abs().quantile(0.99) < 2e-5


@pytest.mark.parametrize("exclude_seen", [False, True])
@pytest.mark.parametrize("loss", [BPRLoss(), MultiMarginLoss((0.1, 0.3), (0.5, 0.5), neg_weight=3.0)])
def test_a_shared_pool_equals_plain_pytorch(train, loss, exclude_seen):
    trainer = Trainer(n_negatives=20, batch_size=32, learning_rate=0.01, epochs=1, device="cpu")
    encoder, negatives = MF(8, init_std=0.3), negative_samplers.SharedNegatives(exclude_seen=exclude_seen)
    users, items, losses = train_plainly(trainer, train, encoder=encoder, loss=loss, negatives=negatives)
    training = trainer.fit(train, encoder=encoder, loss=loss.float(), negatives=negatives, progress=False)
    assert training.history[0]["loss"] == pytest.approx(losses[0], rel=1e-5)
    for found, exact in zip(encoder.tables(), (users, items), strict=True):
        assert (found.detach().double() - exact).abs().quantile(0.99) < 2e-5


@pytest.mark.parametrize("exclude_seen", [False, True])
def test_any_loss_against_all_items_step_by_step(train, exclude_seen):
    """The batches are whole users, and the scores those of every item but the seen ones."""
    spy = SpyLoss()
    total = run(setting(train, loss=spy, negatives=negative_samplers.AllNegatives(exclude_seen=exclude_seen)))
    assert np.isfinite(total)
    for pos_scores, neg_scores, _, mask in spy.given:
        assert neg_scores.shape == (len(pos_scores), train.n_items)
        assert mask is None if not exclude_seen else mask.shape == neg_scores.shape
        assert not exclude_seen or (~mask).any(dim=1).all()


def test_computed_tables_are_trained_through(train):
    values = setting(train, encoder=Averaged())
    before = [table.detach().clone() for table in values.encoder.inner.tables()]
    first, second = run(values), run(values)
    assert second < first
    for table, old in zip(values.encoder.inner.tables(), before, strict=True):
        assert (table.detach() != old).any(dim=1).all()  # the mean reaches every row


def test_no_gradient_is_left_behind(train):
    values = setting(train)
    run(values)
    assert all(parameter.grad is None for parameter in values.encoder.parameters())


def gradients(seed=0):
    """Return a dense parameter, a table with a sparse gradient of repeated rows, the same one dense, one without."""
    rng = np.random.default_rng(seed)
    dense, table, unused = (torch.nn.Parameter(torch.zeros(4, 3)) for _ in range(3))
    dense.grad = torch.from_numpy(rng.standard_normal((4, 3))).float()
    values = torch.from_numpy(rng.standard_normal((3, 3))).float()
    table.grad = torch.sparse_coo_tensor([[1, 3, 1]], values, (4, 3), check_invariants=True)
    copies = [torch.nn.Parameter(torch.zeros(4, 3)) for _ in range(2)]
    copies[0].grad, copies[1].grad = dense.grad.clone(), table.grad.to_dense()
    return [dense, table, unused], copies


@pytest.mark.parametrize("bound", [0.5, 1e-3, 1e6])
def test_clipping_is_torchs_with_sparse_gradients_too(bound):
    mixed, dense = gradients()
    clip_global_norm(mixed, bound)
    torch.nn.utils.clip_grad_norm_(dense, bound)
    assert mixed[2].grad is None
    for ours, theirs in zip(mixed[:2], dense, strict=True):
        torch.testing.assert_close(ours.grad.to_dense(), theirs.grad)


def test_clipping_nothing_is_fine():
    clip_global_norm([torch.nn.Parameter(torch.zeros(2))], 1.0)
