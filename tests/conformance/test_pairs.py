"""Every loss with every sampler: a step of training, or one line that says why there is none and what to do."""

import re

import numpy as np
import pytest
from plain_training import random_interactions

from multimargin.encoders import MF
from multimargin.errors import ArgumentError
from multimargin.losses import LOSSES
from multimargin.negatives import NEGATIVES
from multimargin.train.loop import Trainer


@pytest.fixture(scope="module")
def train():
    return random_interactions(20, 33)


def make(name):
    return NEGATIVES[name](coarse=3, fine=2) if name == "clustered" else NEGATIVES[name]()


@pytest.mark.parametrize("loss", LOSSES)
def test_trains_or_says_why_not(loss, train):
    refused = []
    for name in NEGATIVES:
        encoder, criterion, sampler = MF(4, init_std=0.3), LOSSES[loss](), make(name)
        trainer = Trainer(n_negatives=4, batch_size=10_000, epochs=1, device="cpu", engine="steps", seed=3)
        try:
            result = trainer.fit(train, encoder=encoder, loss=criterion, negatives=sampler, progress=False)
        except ArgumentError as error:
            for each in (criterion, sampler):
                assert type(each).__name__ in str(error), f"{loss} with {name}: {error}"
            assert re.search(r"\. Use [^.]+\.$", str(error)), f"no way out: {error}"  # the way out
            refused.append(name)
            continue
        assert np.isfinite(result.history[0]["loss"]), f"{loss} with {name}"
        assert all(np.isfinite(table.detach().numpy()).all() for table in encoder.tables()), f"{loss} with {name}"
    assert len(refused) < len(NEGATIVES) / 2
