"""A training epoch of SASRec with binary cross-entropy, one negative, against other libraries.

* ``sasrec``: ours through the general loop: packed windows, every training interaction learnt from.
* ``RecTools SASRec``: padded to ``--max-length``, of each user the latest items alone.
* ``RecBole SASRec``: a sequence for each interaction, of which the last place alone is learnt from; BPR, which is what
  it has for one negative.

All have D of ``--embedding-dim``, two blocks, one head, an inner layer of D, dropout 0.2. A turn is some steps; seconds
are scaled to the number of training interactions, so that all learn from as many. ``--data`` may be a folder with
``sequences.txt``, lines of a user's items in order; without times, the places in a user's line stand for them.
"""

import time
from argparse import Namespace

import numpy as np
import torch
from data import Data
from encoders_epoch import timed
from sequence_peers import SEQUENCE_PEERS
from turns import Op, Work

from multimargin.encoders import SASRec
from multimargin.losses import SigmoidCrossEntropyLoss
from multimargin.negatives import UniformNegatives
from multimargin.optim import LazyAdam
from multimargin.train.engines import choose_engine
from multimargin.train.setting import Setting

LEARNING_RATE, DROPOUT, LAYERS = 1e-3, 0.2, 2


def by_us(data: Data, arguments: Namespace) -> Work:
    train, negatives = timed(data).train, UniformNegatives(exclude_seen=True)
    encoder = SASRec(arguments.embedding_dim, max_length=arguments.max_length, n_blocks=LAYERS, dropout=DROPOUT)
    encoder.build(train, rng=np.random.default_rng(0))
    negatives.build(train)
    setting = Setting(
        train=train, encoder=encoder, loss=SigmoidCrossEntropyLoss(), negatives=negatives,
        optimizer=LazyAdam(encoder.parameters(), lr=LEARNING_RATE), n_negatives=1,
        batch_size=arguments.sequence_batch_size, clip_norm=10.0, dropout=0.0, negatives_key=1, dropout_key=2,
        positives_key=3, encoder_key=4,
    )  # fmt: skip
    engine, n, rng, place = choose_engine("auto", setting), len(train), np.random.default_rng(1), 0

    def some_steps() -> tuple[float, str]:
        nonlocal place
        order = setting.batches.order(rng)
        ends = setting.batches.ends(order, 0, n)
        stop = int(ends[min(arguments.steps, len(ends)) - 1])
        started = time.perf_counter()
        engine.run(order, 0, stop, place=place)
        place += n
        return (time.perf_counter() - started) * n / stop, ""

    return Work(_settings(arguments), some_steps)


def by_peer(data: Data, arguments: Namespace) -> Work:
    torch.manual_seed(0)
    peer = SEQUENCE_PEERS[arguments.worker](timed(data), arguments)
    return Work(_settings(arguments), lambda: (peer.epoch(), peer.note))


def _settings(arguments: Namespace) -> str:
    return f"D={arguments.embedding_dim} L={arguments.max_length} B={arguments.sequence_batch_size} N=1"


OP = Op(implementations={"sasrec": by_us, **dict.fromkeys(SEQUENCE_PEERS, by_peer)})
