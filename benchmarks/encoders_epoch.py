"""A training epoch of every encoder with the Multi-Margin Loss at the same N, B and D, each as ``fit`` trains it.

``mf`` runs in its compiled engine, by whole epochs; "mf steps" and all others go through the general loop. A turn of
theirs is ``5 * --steps`` steps, a tenth of it for graphs, scaled to the epoch, and the rows' catch-up once. Encoders
are as they are by default: three layers, two blocks, a mean of the history; two towers have ids and no layers,
"two-tower (128,)" a hidden one. Without times, the places in a user's line stand for them. The batch is
``--graph-batch-size``.
"""

import time
from argparse import Namespace
from dataclasses import replace
from typing import Any

import numpy as np
import training_epoch
from data import Data
from turns import Op, Work

from multimargin.encoders import ENCODERS
from multimargin.losses import MultiMarginLoss
from multimargin.negatives import UniformNegatives
from multimargin.optim import LazyAdam
from multimargin.train.engines import choose_engine
from multimargin.train.setting import Setting

OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "mf": ("mf", {}),
    "mf steps": ("mf", {}),
    "two-tower": ("two-tower", {}),
    "two-tower (128,)": ("two-tower", {"hidden": (128,)}),
    "simplex": ("simplex", {}),
    "lightgcn": ("lightgcn", {}),
    "xsimgcl": ("xsimgcl", {}),
    "simgcl": ("simgcl", {}),
    "sasrec": ("sasrec", {"similarity": "cosine"}),
}


def by_us(data: Data, arguments: Namespace) -> Work:
    kind, options = OPTIONS[arguments.worker]
    train, encoder, negatives = (
        timed(data).train,
        ENCODERS[kind](arguments.embedding_dim, **options),
        UniformNegatives(),
    )
    encoder.build(train, rng=np.random.default_rng(0))
    negatives.build(train)
    optimizer = LazyAdam(encoder.parameters(), lr=training_epoch.LEARNING_RATE)
    setting = Setting(
        train=train, encoder=encoder, loss=MultiMarginLoss(neg_weight=700), negatives=negatives, optimizer=optimizer,
        n_negatives=arguments.negatives, batch_size=arguments.graph_batch_size, clip_norm=training_epoch.CLIP_NORM,
        dropout=training_epoch.DROPOUT, negatives_key=1, dropout_key=2, positives_key=3, encoder_key=4,
    )  # fmt: skip
    engine = choose_engine("steps" if arguments.worker == "mf steps" else "auto", setting)
    whole, n, rng, place = arguments.worker == "mf", len(train), np.random.default_rng(1), 0
    steps = max(5 * arguments.steps // (10 if "gc" in kind else 1), 1)

    def turn() -> tuple[float, str]:
        nonlocal place
        order = setting.batches.order(rng)
        ends = setting.batches.ends(order, 0, n)
        stop = n if whole else int(ends[min(steps, len(ends)) - 1])
        started = time.perf_counter()
        engine.run(order, 0, stop, place=place)
        done = time.perf_counter()
        optimizer.settle()
        place += n
        return (done - started) * n / stop + time.perf_counter() - done, ""

    settings = f"D={arguments.embedding_dim} B={arguments.graph_batch_size} N={arguments.negatives}"
    return Work(settings, turn)


def timed(data: Data) -> Data:
    """Return the data with the places of a user's items as times, where it has none."""
    train = data.train
    if train.timestamps is not None:
        return data
    return data._replace(train=replace(train, timestamps=np.arange(len(train)) - train.indptr[train.user_index]))


OP = Op(implementations=dict.fromkeys(OPTIONS, by_us), cases=lambda arguments: [{"negatives": arguments.negatives[0]}])
