"""Training on another device than the CPU: nothing is mixed up, and the results are those of the CPU."""

import numpy as np
import pretend_device
import pytest
import torch
from plain_training import random_interactions
from pretend_device import Elsewhere, PretendDevice

from multimargin.encoders import MF
from multimargin.encoders.base import Encoder
from multimargin.kernels import sampled_scores as scores_package
from multimargin.losses import BPRLoss, CosineContrastiveLoss, MultiMarginLoss
from multimargin.negatives import UniformNegatives
from multimargin.negatives.base import Negatives
from multimargin.recipes.fit import fit_recipe
from multimargin.recipes.recipe import Recipe
from multimargin.train import ReduceOnPlateau, Trainer, loop


@pytest.fixture
def elsewhere(monkeypatch):
    """``device=cuda`` is the pretended device."""
    on_this_machine = loop.find_device
    found = lambda name: str(pretend_device.DEVICE) if name == "cuda" else on_this_machine(name)  # noqa: E731
    monkeypatch.setattr(loop, "find_device", found)
    with PretendDevice():
        yield


def fit(device, *, encoder=None, loss=None, negatives=None, run=None, resume=False, **options):
    """Train a small model, evaluated after each epoch; return the training and the tables as they are."""
    values = {"n_negatives": 7, "learning_rate": 0.01, "batch_size": 32, "epochs": 3, "dropout": 0.1, "seed": 3}
    encoder = encoder or MF(8, init_std=0.3)
    training = Trainer(device=device, engine="steps", **(values | options)).fit(
        random_interactions(),
        encoder=encoder,
        loss=loss or MultiMarginLoss((0.1, 0.3), (0.4, 0.6), neg_weight=3.0),
        negatives=negatives or UniformNegatives(),
        evaluate=spread,
        run=run,
        resume=resume,
        progress=False,
    )
    return training, [table.detach() for table in encoder.tables()]


def spread(encoder):
    """Return a number that depends on all weights, by way of the CPU."""
    users, items = (table.detach().cpu().numpy() for table in encoder.tables())
    return {"NDCG@20": float(np.sin(1e2 * (users @ items.T)).mean())}


def assert_equal_training(found, expected):
    (training, tables), (cpu_training, cpu_tables) = found, expected
    for row, cpu_row in zip(training.history, cpu_training.history, strict=True):
        assert row["loss"] == pytest.approx(cpu_row["loss"], rel=1e-5)
    for table, cpu_table in zip(tables, cpu_tables, strict=True):
        assert isinstance(table, Elsewhere)
        torch.testing.assert_close(table.inner, cpu_table, rtol=1e-3, atol=1e-4)


class Averaged(Encoder):
    """Tables that are computed, so that gradients are dense and Adam is the ordinary one."""

    similarity = "dot"

    def __init__(self):
        super().__init__()
        self.inner = MF(8, init_std=0.3)

    def build(self, train, *, rng):
        self.inner.build(train, rng=rng)

    def tables(self):
        users, items = self.inner.tables()
        return users, items + items.mean(0)


class MaskedSharedNegatives(UniformNegatives):
    """One set for the batch, the first of which never counts."""

    def sample(self, users, positives, n, *, rng):
        index = super().sample(users[:1], positives[:1], n, rng=rng).index[0]
        return Negatives(index, mask=np.broadcast_to(np.arange(n) > 0, (len(users), n)).copy())


@pytest.mark.parametrize(
    "make",
    [
        dict,
        lambda: {"loss": CosineContrastiveLoss(0.2, neg_weight=3.0)},
        lambda: {"loss": BPRLoss(), "encoder": MF(8, similarity="dot", init_std=0.3)},
        lambda: {"encoder": Averaged(), "loss": BPRLoss()},
        lambda: {"negatives": MaskedSharedNegatives(), "clip_norm": 0.1},
        lambda: {"schedule": ReduceOnPlateau(0.1, patience=1)},
    ],
    ids=["margins", "one margin", "dot", "computed", "shared", "schedule"],
)
def test_trains_as_on_the_cpu(elsewhere, make):
    assert_equal_training(fit("cuda", **make()), fit("cpu", **make()))


@pytest.mark.filterwarnings("ignore:for .*, which is a no-op")  # PyTorch takes the pretended device for an empty one
@pytest.mark.parametrize("make", [dict, lambda: {"encoder": Averaged(), "loss": BPRLoss()}], ids=["table", "computed"])
def test_goes_on_from_a_checkpoint(elsewhere, tmp_path, make):
    fit("cuda", epochs=2, run=tmp_path, **make())
    resumed = fit("cuda", epochs=4, run=tmp_path, resume=True, **make())
    assert_equal_training(resumed, fit("cpu", epochs=4, **make()))


@pytest.fixture
def triton_there(elsewhere, monkeypatch):
    """On the pretended device, the scores are the Triton kernels'; without them gradients are dense."""
    gpu = pytest.importorskip("multimargin.kernels.sampled_scores.gpu", reason="Triton is not installed here")
    if not gpu.INTERPRETED:
        pytest.skip("the pretended device needs Triton's interpreter")
    launch, choose, launched = gpu._launch, scores_package._choose, []

    def launch_here(kernel, programs, *arguments, **blocks):
        launched.append(programs)
        launch(kernel, programs, *(getattr(each, "inner", each) for each in arguments), **blocks)

    def choose_triton(impl, *tables):
        return "gpu" if isinstance(tables[0], Elsewhere) else choose(impl, *tables)

    monkeypatch.setattr(gpu, "_launch", launch_here)
    monkeypatch.setattr(scores_package, "_choose", choose_triton)
    yield
    assert launched


@pytest.mark.filterwarnings("ignore:for .*, which is a no-op")
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1, "dropout": 0.0}], ids=["plain", "decay"])
def test_trains_with_the_kernels_for_gpus(triton_there, tmp_path, options):
    fit("cuda", epochs=1, batch_size=97, run=tmp_path, **options)
    resumed = fit("cuda", epochs=2, batch_size=97, run=tmp_path, resume=True, **options)
    assert_equal_training(resumed, fit("cpu", epochs=2, batch_size=97, **options))


def test_a_recipe_runs_unchanged(elsewhere, tmp_path):
    rng = np.random.default_rng(0)
    data = tmp_path / "log.csv"
    pairs = np.unique(rng.integers(0, 30, (400, 2)), axis=0)
    data.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in pairs))
    results = {}
    for device in ("cuda", "cpu"):
        changes = [f"device={device}", "engine=steps", "epochs=2", "encoder.embedding_dim=8", "batch_size=64"]
        results[device] = fit_recipe(Recipe.load("mf-mml", changes), data=data, run=tmp_path / device, progress=False)
    there, here = results["cuda"], results["cpu"]
    assert [row["loss"] for row in there.training.history] == pytest.approx(
        [row["loss"] for row in here.training.history], rel=1e-5
    )
    np.testing.assert_allclose(there.model.user_table, here.model.user_table, rtol=1e-3, atol=1e-5)
    assert there.evaluation is not None
    assert there.model.recommend(k=3).shape == here.model.recommend(k=3).shape


def test_the_pretended_device_sees_what_is_mixed_up(elsewhere):
    table = torch.ones(3, 2).to(pretend_device.DEVICE)
    for mixed in (
        lambda: table + torch.ones(2),
        lambda: table[torch.tensor([0])],
        lambda: table.copy_(table).add_(torch.ones(2)),
    ):
        with pytest.raises(AssertionError, match="mixes devices"):
            mixed()
    with pytest.raises(RuntimeError, match="numpy"):
        table.numpy()
