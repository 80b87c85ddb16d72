"""What losses and samplers are handed beyond scores, what they may remember, and what cannot be had together."""

import numpy as np
import pytest
import scipy.stats
import torch
from plain_training import random_interactions
from torch.nn.functional import normalize, softplus

from multimargin.encoders import MF
from multimargin.encoders.base import Encoder
from multimargin.errors import ArgumentError
from multimargin.losses import BPRLoss
from multimargin.losses.base import Loss, ascend
from multimargin.negatives import AllNegatives, SharedNegatives, UniformNegatives
from multimargin.negatives.base import Blend, Negatives, NegativeSampler
from multimargin.rng import CounterRng
from multimargin.train import loop
from multimargin.train.loop import Trainer
from multimargin.train.needs import draw_positives, require_compatible


class Spy(Loss):
    """Asks for everything and remembers it; learns from the scores."""

    needs = frozenset(
        {"users", "positives", "negatives", "user_vectors", "positive_vectors", "negative_vectors", "companion_scores"}
    )
    extra_positives = 3

    def __init__(self):
        super().__init__()
        self.given, self.told, self.epochs = [], [], []

    def prepare(self, statistics, *, rng):
        self.told.append(statistics)

    def start_epoch(self, epoch, *, user_vectors=None, item_vectors=None):
        self.epochs.append((epoch, user_vectors, item_vectors))

    def companions(self, positives):
        return torch.stack([(positives + 1) % 97, (positives + 2) % 97], dim=1)

    def forward(self, pos_scores, neg_scores, *, log_q=None, mask=None, **extras):
        assert log_q is None
        assert mask is None
        scores = {"pos_scores": pos_scores, "neg_scores": neg_scores}
        self.given.append({name: each.detach() for name, each in (scores | extras).items()})
        return softplus(neg_scores - pos_scores[:, None]).mean()


class Averaged(Encoder):
    """Tables that are computed: each row plus the mean of all."""

    similarity = "cosine"

    def build(self, train, *, rng):
        self.inner = MF(8, init_std=0.3)
        self.inner.build(train, rng=rng)

    def tables(self):
        return tuple(table + table.mean(0) for table in self.inner.tables())


@pytest.fixture
def train():
    return random_interactions()


def fit(train, *, loss=None, encoder=None, negatives=None, run=None, resume=False, **options):
    options = {"n_negatives": 6, "batch_size": 32, "learning_rate": 0.02, "epochs": 3, "dropout": 0.0} | options
    encoder = encoder or MF(8, init_std=0.3)
    training = Trainer(**options, engine="steps", device="cpu").fit(
        train, encoder=encoder, loss=loss or BPRLoss(), negatives=negatives or UniformNegatives(), run=run,
        resume=resume, progress=False,
    )  # fmt: skip
    return [row["loss"] for row in training.history], [table.detach().clone() for table in encoder.tables()]


ENCODERS = [
    pytest.param(lambda: MF(8, init_std=0.3), id="cosine"),
    pytest.param(lambda: MF(8, similarity="dot", init_std=0.3), id="dot"),
    pytest.param(Averaged, id="computed"),
]


# --- losses


@pytest.mark.parametrize("make", ENCODERS)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_loss_is_handed_what_it_needs(train, make, dropout):
    loss = Spy()
    fit(train, loss=loss, encoder=make(), dropout=dropout, epochs=2)
    pairs = set(zip(train.user_index.tolist(), train.indices.tolist(), strict=True))
    seen = []
    for given in loss.given:
        assert set(given) == loss.needs | {"pos_scores", "neg_scores", "extra_positive_scores"}
        rows = zip(given["users"].tolist(), given["positives"].tolist(), strict=True)
        seen += [pair for pair in rows if pair in pairs]
        user, positive, negative = (given[f"{name}_vectors"] for name in ("user", "positive", "negative"))
        torch.testing.assert_close((user * positive).sum(-1), given["pos_scores"])
        torch.testing.assert_close(torch.einsum("bd,bnd->bn", user, negative), given["neg_scores"])
        assert given["negatives"].shape == given["neg_scores"].shape
        assert given["extra_positive_scores"].shape == (len(user), 3)
        assert given["companion_scores"].shape == (len(user), 2)
    assert sorted(seen) == sorted([*pairs, *pairs])  # each once per epoch


def test_other_items_are_scored_with_the_user_of_the_row(train):
    loss, encoder = Spy(), MF(8, init_std=0.3)
    fit(train, loss=loss, encoder=encoder, epochs=1, batch_size=len(train), learning_rate=1e-12)
    users, items = (normalize(table.detach(), dim=-1) for table in encoder.tables())
    (given,) = loss.given
    every = users[given["users"]] @ items.T  # (B, I)
    torch.testing.assert_close(given["companion_scores"], every.gather(1, loss.companions(given["positives"])))
    for user, row, extra in zip(given["users"].tolist(), every, given["extra_positive_scores"], strict=True):
        own = row[train.items_of(user).astype(np.int64)]
        assert ((extra[:, None] - own[None]).abs().min(dim=1).values < 1e-6).all()


def test_counts_are_told_once_before_training(train):
    loss = Spy()
    fit(train, loss=loss)
    (told,) = loss.told
    assert (told.n_users, told.n_items) == (train.n_users, train.n_items)
    np.testing.assert_array_equal(told.user_counts, train.user_counts)
    np.testing.assert_array_equal(told.item_counts, train.item_counts)
    np.testing.assert_array_equal(told.item_index, train.indices)


class FromVectors(Loss):
    """BPR, its scores made from vectors."""

    needs = frozenset({"user_vectors", "positive_vectors", "negative_vectors"})

    def forward(
        self, pos_scores, neg_scores, *, log_q=None, mask=None, user_vectors, positive_vectors, negative_vectors
    ):
        pos = (user_vectors * positive_vectors).sum(-1)
        return BPRLoss()(pos, torch.einsum("bd,bnd->bn", user_vectors, negative_vectors))


@pytest.mark.parametrize("make", ENCODERS)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_vectors_teach_as_scores_do(train, make, dropout):
    losses, tables = fit(train, encoder=make(), dropout=dropout)
    other_losses, other_tables = fit(train, encoder=make(), dropout=dropout, loss=FromVectors())
    assert other_losses == pytest.approx(losses, rel=1e-4)
    for one, other in zip(tables, other_tables, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)


class FromOthers(Loss):
    """BPR against the companions, which are the negatives."""

    needs = frozenset({"companion_scores"})
    uses_negatives = False

    def companions(self, positives):
        return torch.stack([(positives * 7 + 3) % 97, (positives + 11) % 97], dim=1)

    def forward(self, pos_scores, neg_scores, *, log_q=None, mask=None, companion_scores):
        assert neg_scores.shape == (len(pos_scores), 0)
        return BPRLoss()(pos_scores, companion_scores)


class Neighbours(NegativeSampler):
    """What ``FromOthers`` names, as negatives."""

    def build(self, train):
        pass

    def sample(self, users, positives, n, *, rng):
        return Negatives(FromOthers().companions(torch.from_numpy(positives)).numpy())

    def probabilities(self, users):
        raise NotImplementedError


class Never(NegativeSampler):
    """Is not to be asked."""

    def build(self, train):
        pass

    def sample(self, users, positives, n, *, rng):
        raise AssertionError

    def probabilities(self, users):
        raise AssertionError


@pytest.mark.parametrize("make", ENCODERS)
def test_companions_teach_as_negatives_do_and_nothing_is_drawn_for_a_loss_without(train, make):
    losses, tables = fit(train, encoder=make(), negatives=Neighbours())
    others = fit(train, encoder=make(), loss=FromOthers(), negatives=Never(), n_negatives=None)
    assert others[0] == pytest.approx(losses, rel=1e-4)
    for one, other in zip(tables, others[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)


def test_extra_positives_are_the_users_own_by_place(train):
    users = np.repeat(np.flatnonzero(train.user_counts), 3)
    drawn = draw_positives(train, users, 4, rng=CounterRng(5, 100))
    assert drawn.shape == (len(users), 4)
    for user, row in zip(users, drawn, strict=True):
        assert set(row.tolist()) <= set(train.items_of(int(user)).tolist())
    np.testing.assert_array_equal(drawn[50:], draw_positives(train, users[50:], 4, rng=CounterRng(5, 150)))
    user = int(train.user_counts.argmax())
    counts = np.bincount(draw_positives(train, np.full(5000, user), 2, rng=CounterRng(6)).ravel(), minlength=97)
    assert scipy.stats.chisquare(counts[train.items_of(user)]).pvalue > 1e-4


class Shifted(Loss):
    """BPR with a bias per item in a table of its own, whose gradient is sparse or dense."""

    needs = frozenset({"negatives"})

    def __init__(self, *, sparse):
        super().__init__()
        self.sparse = sparse

    def prepare(self, statistics, *, rng):
        self.table = torch.nn.Parameter(torch.zeros(statistics.n_items, 1))

    def rows_read(self, indices):
        return {self.table: indices["negatives"].flatten()} if self.sparse else {}

    def forward(self, pos_scores, neg_scores, *, log_q=None, mask=None, negatives):
        shift = torch.nn.functional.embedding(negatives, self.table, sparse=self.sparse)[..., 0]
        return BPRLoss()(pos_scores, neg_scores + shift)


def test_a_loss_may_have_a_table_of_its_own(train):
    sparse, dense = Shifted(sparse=True), Shifted(sparse=False)
    losses, _ = fit(train, loss=sparse)
    others, _ = fit(train, loss=dense)
    assert losses == pytest.approx(others, rel=1e-4)
    assert sparse.table.abs().max() > 0.01
    torch.testing.assert_close(sparse.table, dense.table, rtol=1e-3, atol=1e-4)


class Adversary(Loss):
    """Descends in the scores and climbs in a shift of its own."""

    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(()))

    def forward(self, pos_scores, neg_scores, *, log_q=None, mask=None):
        return BPRLoss()(pos_scores, neg_scores + ascend(self.shift))


def test_what_is_read_through_ascend_climbs(train):
    values = torch.tensor([0.1, -3.7], requires_grad=True)
    risen = ascend(values)
    assert torch.equal(risen, values)
    risen.square().sum().backward()
    torch.testing.assert_close(values.grad, torch.tensor([-0.2, 7.4]))
    loss = Adversary()
    fit(train, loss=loss)
    assert loss.shift > 0.1  # makes every negative look better than it is


@pytest.mark.parametrize("make", ENCODERS)
def test_vectors_are_handed_over_before_an_epoch_where_they_are_needed(train, make):
    class Curious(Spy):
        needs = frozenset({"tables", "users"})

    spy, curious, encoder = Spy(), Curious(), make()
    fit(train, loss=spy, encoder=make())
    assert spy.epochs == [(0, None, None), (1, None, None), (2, None, None)]
    fit(train, loss=curious, encoder=encoder, epochs=2)
    _, first = fit(train, loss=Curious(), encoder=make(), epochs=1)
    assert [epoch for epoch, _, _ in curious.epochs] == [0, 1]
    for found, table in zip(curious.epochs[1][1:], first, strict=True):
        torch.testing.assert_close(found, normalize(table, dim=-1) if encoder.similarity == "cosine" else table)
        assert not found.requires_grad


# --- samplers


class Hardest(NegativeSampler):
    """The best of C candidates; checks each score it is given against ``expected``."""

    needs = frozenset({"scores", "tables"})

    def build(self, train):
        self.law, self.asked = UniformNegatives(), []
        self.law.build(train)

    def start_epoch(self, epoch, *, rng, user_vectors=None, item_vectors=None):
        self.vectors = user_vectors, item_vectors

    def sample(self, users, positives, n, *, rng, scorer=None):
        pool = self.law.sample(users, positives, 10, rng=rng).index
        scores = scorer(users, pool)
        shared = scorer(users, pool[0])
        assert scores.dtype == shared.dtype == np.float32
        np.testing.assert_allclose(shared[0], scores[0], rtol=1e-5, atol=1e-6)
        self.asked.append((users, pool, scores))
        return Negatives(np.take_along_axis(pool, np.argsort(-scores, axis=1)[:, :n], axis=1))

    def probabilities(self, users):
        raise NotImplementedError


@pytest.mark.parametrize("make", ENCODERS)
def test_a_hard_sampler_is_handed_scores_of_the_tables_as_they_are(train, make):
    negatives, encoder = Hardest(), make()
    loss = Spy()
    fit(train, loss=loss, encoder=encoder, negatives=negatives)
    for given, (users, pool, scores) in zip(loss.given, negatives.asked, strict=True):
        np.testing.assert_array_equal(users, given["users"].numpy())
        best = -np.sort(-scores, axis=1)[:, :6]  # what the step scores again, with a gradient
        np.testing.assert_allclose(best, given["neg_scores"].numpy(), rtol=1e-4, atol=1e-5)
        assert pool.shape == scores.shape
    users, items = negatives.vectors
    assert users.dtype == np.float32
    lengths = np.linalg.norm(users, axis=1), np.linalg.norm(items, axis=1)
    if encoder.similarity == "cosine":
        np.testing.assert_allclose(np.concatenate(lengths), 1, rtol=1e-5)


class Blended(NegativeSampler):
    """Two drawn items and the positive make three negatives."""

    blends = True

    def build(self, train):
        self.law = UniformNegatives()
        self.law.build(train)

    def sample(self, users, positives, n, *, rng):
        drawn = self.law.sample(users, positives, 2, rng=rng).index
        columns = np.tile([[0, 1], [1, 2], [2, 0]], (len(users), 1, 1))
        weights = np.tile(np.array([[0.3, 0.7], [0.5, 0.5], [1.2, -0.2]], dtype=np.float32), (len(users), 1, 1))
        return Negatives(drawn, blend=Blend(columns, weights))

    def probabilities(self, users):
        return self.law.probabilities(users)


class MixesVectors(Loss):
    """BPR against the same mixes, made of vectors."""

    needs = frozenset({"user_vectors", "positive_vectors", "negative_vectors"})

    def forward(
        self, pos_scores, neg_scores, *, log_q=None, mask=None, user_vectors, positive_vectors, negative_vectors
    ):
        first, second = negative_vectors.unbind(1)
        mixes = [
            0.3 * positive_vectors + 0.7 * first,
            0.5 * first + 0.5 * second,
            1.2 * second - 0.2 * positive_vectors,
        ]
        neg_scores = torch.stack([(user_vectors * mix).sum(-1) for mix in mixes], dim=1)
        return BPRLoss()(pos_scores, neg_scores)


@pytest.mark.parametrize("make", ENCODERS)
def test_a_blend_of_scores_is_the_score_of_the_blend(train, make):
    losses, tables = fit(train, encoder=make(), negatives=Blended())
    others = fit(train, encoder=make(), loss=MixesVectors(), n_negatives=2)
    assert others[0] == pytest.approx(losses, rel=1e-4)
    for one, other in zip(tables, others[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)


# --- memory


class Moving(Loss):
    """BPR at a temperature that follows the scores."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, pos_scores, neg_scores, *, log_q=None, mask=None):
        with torch.no_grad():
            self.mean.lerp_(neg_scores.mean(), 0.1)
        return BPRLoss()(pos_scores * self.scale, neg_scores - self.mean)


class Remembering(NegativeSampler):
    """Hands out the positives of the batch before."""

    remembers = True

    def build(self, train):
        self.queue, self.epochs, self.draws = np.arange(6), [], []

    def start_epoch(self, epoch, *, rng, user_vectors=None, item_vectors=None):
        assert user_vectors is None
        assert item_vectors is None
        self.epochs.append(epoch)
        self.draws.append(rng.generator().integers(1 << 40))

    def sample(self, users, positives, n, *, rng):
        given = np.tile(self.queue, (len(users), 1))
        self.queue = np.concatenate([positives, self.queue])[:n]
        return Negatives(given)

    def probabilities(self, users):
        raise NotImplementedError

    def state(self):
        return {"queue": self.queue}

    def load_state(self, state):
        self.queue = state["queue"]


def test_what_loss_and_sampler_remember_survives_an_interruption(train, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", -1.0)
    whole, negatives = fit(train, loss=Moving(), negatives=Remembering(), epochs=4), Remembering()
    fit(train, loss=Moving(), negatives=Remembering(), epochs=2, run=tmp_path)
    resumed = fit(train, loss=Moving(), negatives=negatives, epochs=4, run=tmp_path, resume=True)
    assert resumed[0] == whole[0]
    for one, other in zip(resumed[1], whole[1], strict=True):
        assert torch.equal(one, other)
    assert negatives.epochs == [2, 3]
    assert len(set(negatives.draws)) == 2


# --- what makes no sense


@pytest.mark.parametrize(
    ("needed", "negatives", "message"),
    [
        ({"negative_vectors"}, SharedNegatives(), "SharedNegatives gives one set to all"),
        ({"negative_vectors"}, AllNegatives(), "AllNegatives gives one set to all"),
        ({"negative_vectors"}, Blended(), "those of Blended are mixes"),
        ({"negatives"}, Blended(), "those of Blended are mixes"),
        (
            {"user_vector"},
            UniformNegatives(),
            "Made.needs must be of .*; got 'user_vector'. Did you mean 'user_vectors'",
        ),
    ],
)
def test_what_cannot_be_had_is_said_at_the_start(train, needed, negatives, message):
    class Made(Spy):
        needs = frozenset(needed)

    with pytest.raises(ArgumentError, match=message):
        fit(train, loss=Made(), negatives=negatives)


def test_a_loss_without_negatives_takes_no_batches_of_users(train):
    with pytest.raises(ArgumentError, match="FromOthers uses no negatives, and AllNegatives wants batches of whole"):
        fit(train, loss=FromOthers(), negatives=AllNegatives())


def test_a_sampler_that_needs_what_nobody_has_is_named():
    negatives = Hardest()
    negatives.needs = frozenset({"score"})
    with pytest.raises(ArgumentError, match=r"Hardest.needs must be of scores, tables; got 'score'. Did you mean"):
        require_compatible(BPRLoss(), negatives)
