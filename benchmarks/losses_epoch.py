"""A training epoch of matrix factorisation with every loss, and with every sampler, at the same N and B.

* ``losses-epoch``: uniform negatives. All go through the engine ``scored``, the first, MML, too, so that ratios say
  what a loss costs; "fused multi-margin" is the same in the engine that "auto" takes for it. What needs vectors goes
  step by step, and says so.
* ``samplers-epoch``: a softmax loss through ``scored``; the share of the time that is spent in the sampler is told.

A turn is ``5 * --steps`` steps from the first epoch on, scaled to the epoch, and the rows' catch-up once.
"""

import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import numpy as np
import training_epoch
from data import Data
from turns import Op, Work

from multimargin.encoders import MF
from multimargin.kernels.pace import Pace
from multimargin.kernels.threads import get_threads
from multimargin.losses import LOSSES, DecoupledSoftmaxLoss
from multimargin.losses.base import VECTORS, Loss
from multimargin.losses.facts import Statistics
from multimargin.negatives import NEGATIVES, UniformNegatives
from multimargin.negatives.base import NegativeSampler
from multimargin.optim import LazyAdam
from multimargin.rng import CounterRng
from multimargin.train import needs
from multimargin.train.engines import choose_engine
from multimargin.train.setting import Engine, Setting

INIT_STD, LEARNING_RATE = 1e-2, 1e-3


def by_loss(data: Data, arguments: Namespace) -> Work:
    engine, _, name = arguments.worker.rpartition(" ")
    loss = LOSSES[name]()
    engine = engine or ("steps" if loss.needs & VECTORS else "scored")
    return _work(data, arguments, engine, loss, UniformNegatives())


def by_sampler(data: Data, arguments: Namespace) -> Work:
    return _work(data, arguments, "scored", DecoupledSoftmaxLoss(), NEGATIVES[arguments.worker]())


def _work(data: Data, arguments: Namespace, engine: str, loss: Loss, negatives: NegativeSampler) -> Work:
    train, encoder = data.train, MF(arguments.embedding_dim, init_std=INIT_STD)
    encoder.build(train, rng=np.random.default_rng(0))
    loss.prepare(
        Statistics(train.n_users, train.n_items, train.user_index, train.indices), rng=np.random.default_rng(0)
    )
    negatives.build(train)
    optimizer = LazyAdam([*encoder.parameters(), *loss.parameters()], lr=LEARNING_RATE)
    n_negatives, batch_size = arguments.negatives, arguments.batch_size
    setting = Setting(
        train=train, encoder=encoder, loss=loss, negatives=negatives, optimizer=optimizer, n_negatives=n_negatives,
        batch_size=batch_size, clip_norm=training_epoch.CLIP_NORM, dropout=training_epoch.DROPOUT, negatives_key=1,
        dropout_key=2, positives_key=3, encoder_key=4,
    )  # fmt: skip
    users, items = needs.all_vectors(encoder)
    tables = {"user_vectors": users, "item_vectors": items}
    loss.start_epoch(0, **tables if "tables" in loss.needs else {})
    arrays = {name: each.numpy() for name, each in tables.items()} if "tables" in negatives.needs else {}
    negatives.start_epoch(0, rng=CounterRng(5, 0), **arrays)
    spent = _watch(negatives)
    chosen, n, rng, place = choose_engine(engine, setting), len(train), np.random.default_rng(1), 0

    def some_steps() -> tuple[float, str]:
        nonlocal place
        order = setting.batches.order(rng)
        if engine != "fused":  # which begins each call by copying all items
            order = order[: 5 * arguments.steps * batch_size]
        _forget(chosen)
        before, started = spent(), time.perf_counter()
        chosen.run(order, 0, len(order), place=place)
        done = time.perf_counter()
        optimizer.settle()
        place += len(order)
        seconds = (done - started) * n / len(order) + time.perf_counter() - done
        share = (spent() - before) / (done - started)
        return seconds, f"engine {engine}" + (f", {share:.0%} of it sampling" if share else "")

    return Work(f"D={arguments.embedding_dim} B={batch_size} N={n_negatives}", some_steps)


def _forget(engine: Engine) -> None:
    """Let the engine find out anew how many threads pay off: when it began, all workers were at work."""
    for part in (engine, getattr(engine, "_kernel", None)):
        if hasattr(part, "_pace"):
            part._pace = Pace(get_threads())  # type: ignore[union-attr]


def _watch(negatives: NegativeSampler) -> Callable[[], float]:
    """Return a function that tells the seconds spent in the sampler so far."""
    sample, total = negatives.sample, 0.0

    def watched(*arguments: Any, **keywords: Any) -> Any:
        nonlocal total
        started = time.perf_counter()
        found = sample(*arguments, **keywords)
        total += time.perf_counter() - started
        return found

    negatives.sample = watched  # type: ignore[method-assign]
    return lambda: total


LOSSES_OP = Op(
    implementations={
        "multi-margin": by_loss,
        "fused multi-margin": by_loss,
        **{name: by_loss for name in LOSSES if name != "multi-margin"},
    },
    cases=training_epoch.OP.cases,
)
SAMPLERS_OP = Op(
    implementations={
        "uniform": by_sampler,
        **{name: by_sampler for name in NEGATIVES if name not in ("uniform", "all")},
    },
    cases=training_epoch.OP.cases,
)
