"""Data whose best list is known by construction: every encoder x loss finds it through the one training loop."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from multimargin.data.synthetic import make_blocks
from multimargin.encoders import ENCODERS
from multimargin.losses import LOSSES
from multimargin.negatives import NEGATIVES, UniformNegatives
from multimargin.train.loop import Trainer

DENSE = {  # a quarter of all pairs are positives here, a thousandth where these were published: milder settings
    "cross-batch-memory": {"memory_weight": 1.0},
    "graph-constraint": {"neg_weight": 30.0},
    "optimal-negatives": {"margin": 0.5},
    "partial-auc": {"negative_share": 0.5},
}
MILD = {  # all of a block's users have the same neighbours; a contrast at full weight, or much noise, tells them apart
    "simgcl": {"contrast_weight": 0.01},
    "xsimgcl": {"contrast_weight": 0.01, "noise": 0.05},
}
SHARED = {  # users have no vectors of their own in a model of sequences: what is pushed from one is pushed from all
    "cosine-contrastive": {"neg_weight": 10.0},
    "multi-margin": {"neg_weight": 10.0},
}
LOOK_FOR_HARD = {"semantic"}  # samplers that look for hard negatives without a look at the model


def all_scores(encoder):
    """Return (U, I) scores by plain matrix arithmetic."""
    with torch.no_grad():
        users, items = (table.double() for table in encoder.eval().tables())
        if encoder.similarity == "cosine":
            users, items = (torch.nn.functional.normalize(table, dim=-1) for table in (users, items))
        return (users @ items.T).numpy()


def best_unseen(encoder, train):
    """Return the best unseen item of each user."""
    scores = all_scores(encoder)
    scores[train.user_index, train.indices] = -np.inf
    return scores.argmax(axis=1)


def seen_come_first(encoder, train):
    """Return the share of seen items that come before all unseen ones."""
    scores = all_scores(encoder)
    seen = scores[train.user_index, train.indices]
    scores[train.user_index, train.indices] = -np.inf
    return (seen > scores.max(axis=1)[train.user_index]).mean()


def learn(encoder, loss, negatives, **arguments):
    split = make_blocks(4, 20, 8, rng=1)
    # for those who want an order: a block's items follow one another in a ring, and what was left out comes next
    times = (split.train.indices - split.test.indices[split.train.user_index]) % 8
    split = replace(split, train=replace(split.train, timestamps=times))
    settings = {"n_negatives": 8, "learning_rate": 0.02, "batch_size": 64, "epochs": 25, "dropout": 0.0, "seed": 4}
    trainer = Trainer(**settings | arguments)
    training = trainer.fit(split.train, encoder=encoder, loss=loss, negatives=negatives, progress=False)
    return split, training


HANDFUL = {"bpr", "cosine-contrastive", "multi-margin", "sampled-softmax", "alignment-uniformity"}
"""By dot product, by cosine, by softmax, by vectors: what an encoder must go together with; MF is tried with all."""


@pytest.mark.parametrize(
    ("encoder", "loss"),
    [(encoder, loss) for encoder in sorted(ENCODERS) for loss in sorted(LOSSES if encoder == "mf" else HANDFUL)],
)
def test_finds_the_one_item_left_in_the_block(encoder, loss):
    ordered = encoder == "sasrec"
    similarity = "dot" if LOSSES[loss].similarity == "dot" else "cosine"
    encoder = ENCODERS[encoder](**MILD.get(encoder, {}), similarity=similarity)
    milder = SHARED.get(loss, {}) if ordered else DENSE.get(loss, {})
    arguments = {"learning_rate": 0.005, "epochs": 40} if ordered else {}
    split, training = learn(encoder, LOSSES[loss](**milder), UniformNegatives(), **arguments)
    found = best_unseen(encoder, split.train) == split.test.indices
    assert found.mean() >= 0.95
    assert training.history[-1]["loss"] < training.history[0]["loss"]


@pytest.mark.parametrize("negatives", sorted(NEGATIVES))
def test_every_sampler_teaches(negatives):
    encoder, sampler = ENCODERS["mf"](), NEGATIVES[negatives]()
    split, _ = learn(encoder, LOSSES["multi-margin"](), sampler)
    if sampler.needs or negatives in LOOK_FOR_HARD:  # what was left out is the hardest there is, and is pushed down
        found = (best_unseen(encoder, split.train) == split.test.indices).mean()
        assert max(found, seen_come_first(encoder, split.train)) >= 0.85
    else:
        assert (best_unseen(encoder, split.train) == split.test.indices).mean() >= 0.95


def test_before_training_there_is_nothing_to_find():
    split = make_blocks(4, 20, 8, rng=1)
    encoder = ENCODERS["mf"]()
    encoder.build(split.train, rng=np.random.default_rng(0))
    assert (best_unseen(encoder, split.train) == split.test.indices).mean() < 0.3
    assert seen_come_first(encoder, split.train) < 0.3
