"""Training until Recall@20 on the test part is at least ``--target``, evaluated after every epoch.

Two times each: ``training only``, evaluations excluded, and ``whole process``: imports, reading, code loaded and
warmed up on a tiny data set, training, evaluations. A turn gives up after ``--budget`` seconds of training or the
library's own number of epochs; ``--target 1`` shows where everybody ends. Everybody is evaluated alike, by us. Choosing
where to stop, and settings, on the test part is the protocol ``paper``.

The settings of ours are ``FAST``, found by a search for few epochs, or those of ``--recipe``, with ``--set`` on top.
"""

import contextlib
import time
from argparse import Namespace

from data import Data, Tables
from peers import PEERS, K
from plain import PlainMF
from turns import Op, Work

from multimargin.encoders import Encoder
from multimargin.evaluate.protocol import Evaluator
from multimargin.losses import MultiMarginLoss
from multimargin.recipes.recipe import Recipe
from multimargin.train.stopping import DECAYS

METRIC = f"Recall@{K}"
FAST = {
    "encoder": {"name": "mf", "embedding_dim": 64, "similarity": "cosine", "init_std": 1e-4},
    "loss": {"name": "multi-margin", "neg_weight": 700.0},
    "n_negatives": 100,
    "learning_rate": 6e-4,
    "batch_size": 256,
    "epochs": 5,
    "decay": "cosine",
    "clip_norm": 10.0,
    "dropout": 0.1,
}


class _Done(Exception):  # noqa: N818 - it is no error
    """The target is reached, or the time is up."""


class _Watch:
    """Stops the clock, evaluates, and ends a training whose time has come."""

    def __init__(self, data: Data, arguments: Namespace):
        self._evaluator = Evaluator(data.test, seen=data.train, k=(K,), protocol="paper")
        self._target, self._budget = arguments.target, arguments.budget
        self.seconds, self._epochs, self._best = 0.0, 0, 0.0
        self._since = time.perf_counter()

    def look(self, tables: Tables, similarity: str = "dot") -> dict[str, float]:
        self.seconds += time.perf_counter() - self._since
        metrics = self._evaluator(*tables, similarity).metrics
        self._epochs, self._best, self._last = self._epochs + 1, max(self._best, metrics[METRIC]), metrics[METRIC]
        if self._last >= self._target or self.seconds > self._budget:
            raise _Done
        self._since = time.perf_counter()
        return metrics

    def note(self) -> str:
        after = f"{METRIC} {self._last:.4f} after {self._epochs} epochs"
        return after if self._last >= self._target else f"not reached: {after}, best {self._best:.4f}"


def by_us(data: Data, arguments: Namespace) -> Work:
    recipe = _recipe(arguments)

    def turn() -> tuple[float, str]:
        objects, watch = recipe.build(), _Watch(data, arguments)

        def look(encoder: Encoder) -> dict[str, float]:
            return watch.look(tuple(table.detach().numpy() for table in encoder.tables()), encoder.similarity)

        with contextlib.suppress(_Done):
            objects.trainer.fit(
                data.train, encoder=objects.encoder, loss=objects.loss, negatives=objects.negatives, evaluate=look,
                progress=False,
            )  # fmt: skip
        return watch.seconds, watch.note()

    return Work(_settings(recipe), turn)


def by_pytorch(data: Data, arguments: Namespace) -> Work:
    recipe = _recipe(arguments)
    values, loss = recipe.values, recipe.build().loss
    if values["encoder"].get("similarity") != "cosine" or not isinstance(loss, MultiMarginLoss):
        raise SystemExit("pytorch trains MF with cosines and the Multi-Margin Loss; leave it out with --only.")

    def turn() -> tuple[float, str]:
        watch = _Watch(data, arguments)
        model = PlainMF(
            data.train, loss=loss, embedding_dim=arguments.embedding_dim, init_std=values["encoder"]["init_std"],
            **{key: values[key] for key in ("n_negatives", "batch_size", "learning_rate", "clip_norm", "dropout")},
        )  # fmt: skip
        with contextlib.suppress(_Done):
            for epoch in range(values["epochs"]):
                over = (epoch + 0.5) / values["epochs"]
                model.set_rate(values["learning_rate"] * (DECAYS[values["decay"]](over) if values["decay"] else 1))
                for pairs in model.epoch():
                    model.step(pairs)
                watch.look((model.user_table.detach().numpy(), model.item_table.detach().numpy()), "cosine")
        return watch.seconds, watch.note()

    return Work(_settings(recipe), turn)


def by_peer(data: Data, arguments: Namespace) -> Work:
    peer = PEERS[arguments.worker](data, arguments)

    def turn() -> tuple[float, str]:
        watch = _Watch(data, arguments)
        with contextlib.suppress(_Done):
            peer.fit(lambda: watch.look(peer.tables()))
        return watch.seconds, watch.note()

    return Work(f"D={arguments.embedding_dim} {peer.settings}", turn)


def _recipe(arguments: Namespace) -> Recipe:
    fixed = [f"k=[{K}]", f"metric={METRIC}", "protocol=paper", f"encoder.embedding_dim={arguments.embedding_dim}"]
    return Recipe.load(arguments.recipe or FAST, [*fixed, *arguments.set])


def _settings(recipe: Recipe) -> str:
    encoder, loss = dict(recipe.values["encoder"]), dict(recipe.values["loss"])
    shown = {"D": encoder["embedding_dim"], "B": recipe.values["batch_size"], "N": recipe.values["n_negatives"]}
    shown |= {"learning_rate": recipe.values["learning_rate"], "init_std": encoder.get("init_std")}
    shown |= {"loss": loss.pop("name")} | loss
    return " ".join(f"{key}={value}" for key, value in shown.items())


OP = Op(implementations={"MF + MML": by_us, "pytorch": by_pytorch, **dict.fromkeys(PEERS, by_peer)}, fresh=True)
