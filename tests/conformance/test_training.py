"""What holds for every loss, sampler and encoder once it is in the one loop, found by itself."""

import pytest
import torch
from plain_training import random_interactions

from multimargin.encoders import ENCODERS
from multimargin.losses import LOSSES
from multimargin.negatives import NEGATIVES
from multimargin.train import loop
from multimargin.train.loop import Trainer


def fit(run=None, *, encoder="mf", loss="bpr", negatives="uniform", epochs=4, resume=False, engine="auto"):
    encoder = ENCODERS[encoder](8, init_std=0.3)
    trainer = Trainer(
        n_negatives=6, batch_size=48, learning_rate=0.02, epochs=epochs, device="cpu", seed=3, engine=engine
    )
    training = trainer.fit(
        random_interactions(timed=True), encoder=encoder, loss=LOSSES[loss](), negatives=NEGATIVES[negatives](),
        run=run, resume=resume, progress=False,
    )  # fmt: skip
    return [row["loss"] for row in training.history], encoder.tables()


@pytest.mark.parametrize(
    "axes",
    [
        *({"loss": name} for name in LOSSES),
        *({"negatives": name} for name in NEGATIVES),
        *({"encoder": name} for name in ENCODERS),
    ],
    ids=lambda axes: "-".join(axes.values()),
)
def test_resumed_equals_uninterrupted(axes, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", -1.0)
    losses, tables = fit(**axes)
    fit(tmp_path, **axes, epochs=2)
    found, others = fit(tmp_path, **axes, resume=True)
    assert found == losses
    for one, other in zip(tables, others, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "axes",
    [*({"loss": name} for name in LOSSES), *({"negatives": name} for name in NEGATIVES)],
    ids=lambda axes: "-".join(axes.values()),
)
def test_compiled_equals_step_by_step(axes):
    """Whatever engine "auto" takes; the two differ by rounding, which Adam amplifies where gradients nearly cancel."""
    (losses, tables), (wanted, others) = (fit(**axes, engine=engine) for engine in ("auto", "steps"))
    assert losses == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    for one, other in zip(tables, others, strict=True):
        assert ((one - other).norm() / other.norm()).item() < 1e-3
