"""The whole-epoch kernel: equals the step-by-step path and plain PyTorch, whatever the threads and stretches."""

import time
from itertools import pairwise, product

import numba
import numpy as np
import pytest
import torch
from plain_training import random_interactions, train_plainly

from multimargin.encoders import MF
from multimargin.kernels.fused_epoch import FusedEpoch
from multimargin.kernels.fused_epoch.records import LANES
from multimargin.kernels.fused_epoch.screening import confirm, copy_listed, prepare, screen
from multimargin.kernels.intrinsics import BYTES, dot_drawn, dot_drawn_anywhere, fetch_drawn
from multimargin.kernels.launch import Goal, Learned
from multimargin.kernels.lazy_adam.cpu import as_clock, as_table
from multimargin.kernels.terms import of_hinges
from multimargin.losses import (
    CosineContrastiveLoss,
    GeneralizedBCELoss,
    MeanSquaredErrorLoss,
    MultiMarginLoss,
    SigmoidCrossEntropyLoss,
)
from multimargin.negatives import UniformNegatives
from multimargin.optim import LazyAdam
from multimargin.rng import Streams
from multimargin.train.loop import Trainer

# Adam divides by the size of a gradient, so the few entries whose gradient nearly cancels amplify float32's rounding
TOLERANCE = 2e-5  # of 99 in 100 entries, of size 0.1 to 1, after a dozen steps of 0.01 each
MOVEMENT = 5e-3  # of the whole table, relative to how far it moved: one forgotten row is above 0.05

MML = {"margins": (-0.1, 0.1, 0.3), "margin_weights": (0.2, 0.3, 0.5), "pos_weight": 0.7, "neg_weight": 3.0}

SMOOTH = {
    "squares": lambda: MeanSquaredErrorLoss(pos_weight=0.7, neg_weight=3.0),
    "logistic": lambda: SigmoidCrossEntropyLoss(0.3, pos_weight=0.7, neg_weight=3.0),
}


def train_with(
    engine, train, *, similarity="cosine", dim=7, loss=None, exclude_seen=False, init_std=0.3, epochs=1, **options
):
    """Return the tables and the losses of the epochs; ``engine`` "plain" is PyTorch in float64."""
    options = {"batch_size": 32, "n_negatives": 9, "learning_rate": 0.01, "dropout": 0.0, "clip_norm": None} | options
    trainer = Trainer(epochs=epochs, engine="auto" if engine == "plain" else engine, device="cpu", seed=5, **options)
    encoder = MF(dim, similarity=similarity, init_std=init_std)
    parts = {
        "encoder": encoder,
        "loss": loss or MultiMarginLoss(**MML),
        "negatives": UniformNegatives(exclude_seen=exclude_seen),
    }
    if engine == "plain":
        return train_plainly(trainer, train, **parts)
    parts["loss"].float()
    training = trainer.fit(train, **parts, progress=False)
    return *(table.detach() for table in encoder.tables()), [row["loss"] for row in training.history]


def assert_engines_agree(train, **arguments):
    *exact, losses = train_with("plain", train, **arguments)
    *start, _ = train_with("plain", train, **(arguments | {"learning_rate": 1e-30}))
    for engine in ("fused", "steps"):
        *tables, found_losses = train_with(engine, train, **arguments)
        assert found_losses == pytest.approx(losses, rel=1e-5, abs=1e-7)
        for name, found, wanted, before in zip(("users", "items"), tables, exact, start, strict=True):
            off = (found.double() - wanted).abs()
            assert off.quantile(0.99) <= TOLERANCE, f"{engine}, {name}"
            assert off.norm() <= MOVEMENT * (wanted - before).norm(), f"{engine}, {name}"


@pytest.fixture(scope="module")
def train():
    """Interactions that do not divide into batches of 32, of few enough users that batches repeat them."""
    found = random_interactions()
    assert len(found) % 32
    return found


@pytest.mark.parametrize(
    ("similarity", "exclude_seen", "dropout", "clip_norm"),
    list(product(("cosine", "dot"), (False, True), (0.0, 0.1), (None, 0.05))),
)
def test_equals_step_by_step_and_plain_pytorch(train, similarity, exclude_seen, dropout, clip_norm):
    assert_engines_agree(train, similarity=similarity, exclude_seen=exclude_seen, dropout=dropout, clip_norm=clip_norm)


@pytest.mark.parametrize("dim", [1, 2, 7, 16, 64, 67])
def test_every_width(train, dim):
    assert_engines_agree(train, dim=dim, similarity="dot" if dim == 1 else "cosine", dropout=0.1)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_weight_decay(train, similarity):
    assert_engines_agree(train, similarity=similarity, weight_decay=0.1, clip_norm=0.05)


@pytest.mark.parametrize("n_negatives", [1, 2, 3, 4, 5, 50])
def test_every_number_of_negatives(train, n_negatives):
    assert_engines_agree(train, n_negatives=n_negatives)


@pytest.mark.parametrize("batch_size", [1, 13, 1000])
def test_every_size_of_batch(batch_size):
    assert_engines_agree(random_interactions(12, 23, 3), batch_size=batch_size, n_negatives=3)


@pytest.mark.parametrize(("n_users", "n_items", "per_user"), [(300, 4001, 1), (3, 700, 40)])
def test_catalogues_of_which_a_batch_draws_little(n_users, n_items, per_user):
    assert_engines_agree(random_interactions(n_users, n_items, per_user), n_negatives=2, epochs=2)


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
    options = {"dropout": 0.1, "clip_norm": 0.05, "weight_decay": 0.1, "n_negatives": 19, "epochs": 2}
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


@pytest.mark.parametrize(("n_items", "far"), [(97, 2**28), (1009, 2**28), (1009, 0)])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_what_is_screened_out_has_no_gradient(monkeypatch, similarity, n_items, far):
    """Many pairs just below and above the smallest margin, among rows that drift far while idle."""
    monkeypatch.setattr("multimargin.kernels.fused_epoch.launch._FAR", far)
    loss = MultiMarginLoss((0.15, 0.3), (0.5, 0.5), neg_weight=3.0)
    arguments = {"loss": loss, "similarity": similarity, "n_negatives": 4, "init_std": 0.1, "epochs": 2, "dropout": 0.1}
    assert_engines_agree(random_interactions(40, n_items), **arguments)


def test_the_published_start_is_followed(train):
    """Rows of norm 1e-3 and a clipped gradient: the first steps of a published run."""
    arguments = {"init_std": 1e-4, "learning_rate": 1e-4, "clip_norm": 10.0, "dropout": 0.1, "dim": 64}
    loss = {"loss": MultiMarginLoss(neg_weight=700)}
    plain = train_with("plain", train, **arguments, **loss)
    for engine in ("fused", "steps"):
        users, items, losses = train_with(engine, train, **arguments, loss=MultiMarginLoss(neg_weight=700))
        assert losses == pytest.approx(plain[2], rel=1e-4)
        for found, exact in ((users, plain[0]), (items, plain[1])):
            assert ((found.double() - exact).norm() / exact.norm()).item() < 1e-2  # steps are as large as the rows


@pytest.mark.parametrize("n_items", [97, 5003])
@pytest.mark.parametrize(
    ("similarity", "loss"), [("cosine", "hinges"), ("dot", "hinges"), ("cosine", "squares"), ("cosine", "logistic")]
)
def test_the_number_of_threads_changes_nothing(at_threads, similarity, loss, n_items):
    train = random_interactions(40, n_items)
    results = []
    for count in (1, 2, 3):
        at_threads(count)
        arguments = {"similarity": similarity, "epochs": 3, "dropout": 0.1, "clip_norm": 0.1, "dim": 16}
        results.append(train_with("fused", train, loss=SMOOTH[loss]() if loss in SMOOTH else None, **arguments))
    for users, items, losses in results[1:]:
        assert torch.equal(users, results[0][0])
        assert torch.equal(items, results[0][1])
        assert losses == results[0][2]


class Kernel:
    """The kernel on its own, as an engine sets it up."""

    def __init__(
        self, train, *, cosine=True, dim=7, init_std=1.0, positive_slope=1.0, margins=(0.0, 0.3), slopes=(1.0, 2.0),
        dropout=0.2, **options,
    ):  # fmt: skip
        rng = np.random.default_rng(3)
        self.tables = [
            torch.nn.Parameter(torch.from_numpy(np.float32(init_std) * rng.standard_normal((rows, dim), np.float32)))
            for rows in (train.n_users, train.n_items)
        ]
        self.optimizer = LazyAdam(self.tables)
        self.order = Streams(1).generator("shuffle").permutation(len(train))
        goal = Goal(
            cosine, of_hinges(positive_slope, margins, slopes), np.float32(dropout), np.uint64(12), clip_norm=0.1
        )  # fmt: skip
        arguments = {
            "pair_users": train.user_index, "pair_items": train.indices, "n_negatives": 6, "negatives_key": 2**63 + 11,
            "seen": None,
        } | options  # fmt: skip
        states = [self.optimizer.rows_of(table) for table in self.tables]
        self.fused = FusedEpoch(Learned(*self.tables, *states, self.optimizer.schedule), goal, **arguments)

    def run(self, *stops, place=0, batch_size=16, learning_rate=0.01):
        """Run the epoch in stretches that end at ``stops`` and at its end; return loss and settled tables."""
        stops = [0, *stops, len(self.order)]
        loss = sum(
            self.fused.run(
                self.order, start, stop, place=place, batch_size=batch_size, learning_rate=learning_rate
            )
            for start, stop in pairwise(stops)
        )  # fmt: skip
        self.optimizer.settle()
        return loss, *(table.detach().clone() for table in self.tables)


@pytest.mark.parametrize(("n_items", "dim"), [(97, 16), (5003, 7)])
@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("stops", [(16,), (32, 64, 96), tuple(range(16, 150, 16))])
def test_where_an_epoch_is_cut_changes_nothing(cosine, stops, n_items, dim):
    train = random_interactions(40, n_items)
    whole = Kernel(train, cosine=cosine, dim=dim).run()
    cut = Kernel(train, cosine=cosine, dim=dim).run(*stops)
    assert cut[0] == pytest.approx(whole[0], rel=1e-12)  # a sum of float64s, in other groups
    assert torch.equal(cut[1], whole[1])
    assert torch.equal(cut[2], whole[2])


def test_pieces_change_nothing_not_even_the_last_bit_of_the_loss(train, monkeypatch):
    """How long they are depends on the clock."""
    results = []
    for piece in (64, 1, 3):
        monkeypatch.setattr("multimargin.kernels.fused_epoch.launch._PIECE", piece)
        results.append(Kernel(train, dim=16).run(64))
    for loss, users, items in results[1:]:
        assert loss == results[0][0]
        assert torch.equal(users, results[0][1])
        assert torch.equal(items, results[0][2])


def test_a_stretch_in_which_nothing_is_left_does_nothing(train):
    kernel = Kernel(train)
    before = [table.detach().clone() for table in kernel.tables]
    assert kernel.fused.run(kernel.order, len(train), len(train), place=0, batch_size=16, learning_rate=0.1) == 0
    assert all(torch.equal(table, other) for table, other in zip(kernel.tables, before, strict=True))
    assert kernel.optimizer.schedule.step == 0


def test_another_place_in_the_streams_is_another_result(train):
    results = [Kernel(train).run(place=place)[1] for place in (0, 0, 1, 10**12)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert not torch.equal(results[2], results[3])


def test_never_a_seen_item_moves_a_user_away(train):
    """With all items but one seen, that one is every negative: it alone moves, besides the positives."""
    seen = np.arange(train.n_users + 1) * (train.n_items - 1), np.tile(np.arange(1, train.n_items), train.n_users)
    kernel = Kernel(
        train,
        seen=(seen[0].astype(np.int64), seen[1].astype(np.int32)),
        positive_slope=0.0,
        margins=(-1.5,),
        slopes=(1.0,),
    )
    before = kernel.tables[1].detach().clone()
    kernel.run()
    moved = (kernel.tables[1].detach() != before).any(dim=1)
    assert moved.nonzero().flatten().tolist() == [0]


def test_long_training_stays_finite_and_keeps_learning(train):
    losses = train_with("fused", train, epochs=60, dropout=0.1, dim=16, init_std=1e-4, learning_rate=0.003)[2]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] / 2


def test_the_compilation_does_not_speak_against_threads(train, monkeypatch, at_threads):
    at_threads(2)

    def run_steps(thread, threads, *_):
        if not run_steps.signatures:
            time.sleep(0.3)
            run_steps.signatures.append("compiled")
        time.sleep(0.02 / threads)
        return 0.0

    run_steps.signatures = []
    monkeypatch.setattr("multimargin.kernels.fused_epoch.cpu.run_steps", run_steps)
    monkeypatch.setattr("multimargin.kernels.fused_epoch.launch._PIECE", 1)
    kernel = Kernel(train)
    kernel.fused.run(kernel.order, 0, 16 * 5, place=0, batch_size=16, learning_rate=0.01)
    assert kernel.fused._launcher.pace.choose(1)[0] == 2


@numba.njit
def _screen_once(q, items, x, clock, settings, now):
    """Return the items that the screen lets through at step ``now`` when all are drawn."""
    for lane in range(LANES):
        copy_listed(lane, items, x, clock, settings, now)
    for j in range(settings.n_negatives):
        x.negatives[0, 0, j] = j
    x.query[0] = q
    prepare(0, x, settings)
    x.candidates_end[0] = screen(0, 0, 0, 0, x, settings)
    confirm(0, 0, 1, items, x, clock, settings, now)
    return x.candidates[0, : x.candidates_end[0]].copy()


def _rows_now(kernel):
    """Return the item rows as they are at this step, where they were when stored, and which lack drift, in float64."""
    state, schedule = kernel.optimizer.rows_of(kernel.tables[1]), kernel.optimizer.schedule
    stored, e = kernel.tables[1].detach().double().numpy(), state.direction.double().numpy()
    missing = np.array([
        schedule.idle_drift(int(last)) - float(applied) if last >= 0 else 0.0
        for last, applied in zip(state.last, state.applied, strict=True)
    ])  # fmt: skip
    return stored - missing[:, None] * e, stored


def _just_above(margin, row, disguise):
    """Return a query of norm 1 that scores ``row`` just above the margin and leans towards ``disguise``."""
    row = row / np.linalg.norm(row)
    across = disguise - (disguise @ row) * row
    return (margin + 1e-4) * row + np.sqrt(1 - (margin + 1e-4) ** 2) * across / np.linalg.norm(across)


@pytest.mark.parametrize("dim", [7, 16, 67])
@pytest.mark.parametrize(("init_std", "learning_rate"), [(1.0, 0.002), (1.0, 0.01), (1e-3, 0.003)])
def test_the_screen_lets_every_item_above_the_margin_through_and_few_others(init_std, learning_rate, dim):
    """In the middle of training, against scores in float64, by queries that its rounding or the drift disguises."""
    train, margin = random_interactions(60, 509), 0.5
    options = {"margins": (margin,), "slopes": (3.0,), "n_negatives": train.n_items, "dim": dim, "dropout": 0.0}
    kernel = Kernel(train, init_std=init_std, **options)
    schedule = kernel.optimizer.schedule
    schedule.settle(5000)  # the rate's warming up is over
    rng = np.random.default_rng(0)
    lacking, let_through, above, near = 0, 0, 0, 0
    for stop in range(16, 256, 16):
        kernel.fused.run(kernel.order, stop - 16, stop, place=0, batch_size=16, learning_rate=learning_rate)
        state, room, settings = kernel.optimizer.rows_of(kernel.tables[1]), kernel.fused._room, kernel.fused._settings
        items, clock = as_table(kernel.tables[1], state), as_clock(schedule, *(np.ones(1),) * 3)
        _screen_once(np.ones(dim, np.float32), items, room, clock, settings, schedule.step)  # brings up listed rows
        now, stored = _rows_now(kernel)
        drift = np.linalg.norm(now - stored, axis=1) / np.linalg.norm(stored, axis=1)
        lacking += (drift > 0.02).sum()
        copies = room.bytes[:, :dim].astype(float) - 128
        queries = [*rng.standard_normal((5, dim)), np.zeros(dim), 1e-30 * rng.standard_normal(dim)]
        for j in np.argsort(drift)[-10:]:
            if drift[j] > 0:
                queries.append(_just_above(margin, now[j], now[j] - stored[j]))
        for j in rng.integers(0, train.n_items, 10):
            queries.append(_just_above(margin, now[j], now[j] / np.linalg.norm(now[j]) - copies[j] / 127))
        for q in np.array(queries, np.float32):
            found = set(_screen_once(q, items, room, clock, settings, schedule.step).tolist())
            scores = now @ q.astype(float) / np.linalg.norm(now, axis=1)
            assert set(np.flatnonzero(scores > np.float32(margin))) <= found
            reach = np.linalg.norm(q) * 0.25
            assert (scores[sorted(found)] > margin - reach).all()
            let_through, above = let_through + len(found), above + (scores > margin).sum()
            near += (scores > margin - reach).sum()
    assert lacking > 100 or init_std < 0.01  # rows that small are brought up at every step
    assert above <= let_through < (above + near) / 2


@pytest.mark.parametrize("dot", [dot_drawn, dot_drawn_anywhere], ids=["this processor", "any"])
@pytest.mark.parametrize("width", [64, 192])
def test_products_of_bytes(dot, width):
    @numba.njit
    def run(rows, drawn, query, result):
        for place in range(0, len(drawn), 4):
            fetch_drawn(rows, rows.shape[1], drawn, place)
            for start in range(0, rows.shape[1], BYTES):
                dot(rows, rows.shape[1], drawn, place, query, start, result)

    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (50, width)).astype(np.uint8)
    rows[0], rows[1], query = 0, 255, rng.integers(-127, 128, width).astype(np.int8)
    for q in (query, np.full_like(query, -127), np.full_like(query, 127)):
        drawn, result = rng.integers(0, 50, 24).astype(np.int32), np.zeros(24, np.int32)
        drawn[:2] = 0, 1
        run(rows, drawn, q, result)
        np.testing.assert_array_equal(result, rows[drawn].astype(int) @ q.astype(int))
