"""One training epoch of matrix factorisation with the Multi-Margin Loss, against plain PyTorch and other libraries.

* ``pytorch``: gather, normalise, multiply, autograd, ``clip_grad_norm_``, dense ``torch.optim.Adam``, uniform negatives
  by ``torch.randint``; all cores. An epoch takes minutes, so each turn is ``--steps`` steps, scaled to the epoch.
* ``fused``: the whole-epoch kernel. Each turn is one epoch, the rows' catch-up at its end included.
* ``steps``: the same training through the general loop, any loss and sampler. Each turn is ``5 * --steps`` steps,
  scaled to the epoch, plus the catch-up once.
* others: an epoch of what each library trains: BPR draws one negative for each positive, ALS solves for every row.

Ours are measured from the second epoch on: as few pairs have a gradient as later, and nothing is compiled any more.
"""

import time
from argparse import Namespace

import numpy as np
from data import Data
from peers import PEERS
from plain import PlainMF
from turns import Op, Work

from multimargin.encoders import MF
from multimargin.losses import MultiMarginLoss
from multimargin.negatives import SharedNegatives, UniformNegatives
from multimargin.optim import LazyAdam
from multimargin.train.engines import choose_engine
from multimargin.train.setting import Setting

LEARNING_RATE, DROPOUT, CLIP_NORM, INIT_STD, WEIGHT = 1e-4, 0.1, 10.0, 1e-4, 700  # the published run's on Gowalla


def by_pytorch(data: Data, arguments: Namespace) -> Work:
    model = PlainMF(
        data.train, embedding_dim=arguments.embedding_dim, init_std=INIT_STD, loss=MultiMarginLoss(neg_weight=WEIGHT),
        n_negatives=arguments.negatives, batch_size=arguments.batch_size, learning_rate=LEARNING_RATE,
        clip_norm=CLIP_NORM, dropout=DROPOUT,
    )  # fmt: skip

    def some_steps() -> tuple[float, str]:
        batches = list(model.epoch())
        chosen = batches[: arguments.steps]
        started = time.perf_counter()
        for pairs in chosen:
            model.step(pairs)
        return (time.perf_counter() - started) * len(batches) / len(chosen), ""

    return Work(_settings(arguments), some_steps)


def by_us(data: Data, arguments: Namespace) -> Work:
    return ours(data, arguments, arguments.worker, UniformNegatives())


def ours(data: Data, arguments: Namespace, engine: str, negatives: UniformNegatives | SharedNegatives) -> Work:
    """Return epochs of a compiled engine, or, of the general loop, parts of the second epoch."""
    train, encoder = data.train, MF(arguments.embedding_dim, init_std=INIT_STD)
    encoder.build(train, rng=np.random.default_rng(0))
    negatives.build(train)
    optimizer = LazyAdam(encoder.parameters(), lr=LEARNING_RATE)
    setting = Setting(
        train=train, encoder=encoder, loss=MultiMarginLoss(neg_weight=WEIGHT), negatives=negatives, optimizer=optimizer,
        n_negatives=arguments.negatives, batch_size=arguments.batch_size, clip_norm=CLIP_NORM, dropout=DROPOUT,
        negatives_key=1, dropout_key=2, positives_key=3, encoder_key=4,
    )  # fmt: skip
    n, rng = len(train), np.random.default_rng(1)
    compiled, place = choose_engine("auto", setting), 0

    def epoch() -> tuple[float, str]:
        nonlocal place
        started = time.perf_counter()
        compiled.run(rng.permutation(n), 0, n, place=place)
        optimizer.settle()
        place += n
        return time.perf_counter() - started, ""

    if engine != "steps":
        return Work(_settings(arguments), epoch)
    epoch()  # the general loop's turns are parts of a second epoch
    steps, size = choose_engine("steps", setting), 5 * arguments.steps * arguments.batch_size

    def some_steps() -> tuple[float, str]:
        nonlocal place
        order = rng.permutation(n)[:size]
        started = time.perf_counter()
        steps.run(order, 0, len(order), place=place)
        done = time.perf_counter()
        optimizer.settle()
        place += len(order)
        return (done - started) * n / len(order) + time.perf_counter() - done, ""

    return Work(_settings(arguments), some_steps)


def by_peer(data: Data, arguments: Namespace) -> Work:
    peer = PEERS[arguments.worker](data, arguments)
    return Work(f"D={arguments.embedding_dim} {peer.settings}", lambda: (peer.epoch(), ""))


def _settings(arguments: Namespace) -> str:
    return f"D={arguments.embedding_dim} B={arguments.batch_size} N={arguments.negatives}"


OP = Op(
    implementations={"pytorch": by_pytorch, "fused": by_us, "steps": by_us, **dict.fromkeys(PEERS, by_peer)},
    cases=lambda arguments: [{"negatives": n} for n in arguments.negatives],
)
