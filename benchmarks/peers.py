"""Other libraries on our data: each trains, shows two tables whose dot products are its scores, and ranks.

Not one of them is needed: what is not installed is left out. They share our cores: as many threads as ours use, BLAS
held to one where the library brings threads of its own.
"""

import contextlib
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data import Data, Tables
from numpy.typing import NDArray

from multimargin.kernels.threads import get_threads

EPOCHS = 100  # of the libraries that have no end of their own
K = 20
SOME = 600  # users whose lists LensKit makes in a turn

After = Callable[[], None]


def package(implementation: str) -> str | None:
    """Return the package that an implementation is of, None for torch and us."""
    first = implementation.partition(" ")[0].lower()
    return first if first in ("implicit", "lenskit", "recbole", "rectools") else None


def is_installed(implementation: str) -> bool:
    name = package(implementation)
    return name is None or find_spec(name) is not None


class _Implicit:
    def __init__(self, data: Data, arguments: Namespace):
        from scipy.sparse import csr_matrix
        from threadpoolctl import threadpool_limits

        threadpool_limits(1, "blas")  # implicit asks for it: its own threads call BLAS
        self._matrix, self._test = (
            csr_matrix(
                (np.ones(len(part), np.float32), part.indices.astype(np.int32), part.indptr.astype(np.int32)),
                shape=(part.n_users, part.n_items),
            )
            for part in (data.train, data.test)
        )
        self._model, self._data = self._make(arguments.embedding_dim), data

    def _make(self, factors: int) -> Any:
        raise NotImplementedError

    def epoch(self) -> float:
        """Train an epoch more; return its seconds, preparations of ``fit`` left out."""
        seconds: list[float] = []
        self._model.iterations = 1
        self._model.fit(self._matrix, show_progress=False, callback=lambda _, elapsed, *__: seconds.append(elapsed))
        return seconds[0]

    def fit(self, after: After) -> None:
        """Train as many epochs as the library's default is, calling ``after`` behind each."""
        self._model.fit(self._matrix, show_progress=False, callback=lambda *_: after())

    def tables(self) -> Tables:
        return self._model.user_factors, self._model.item_factors

    def use(self, tables: Tables) -> None:
        """Rank by these tables from now on."""
        self._model.user_factors, self._model.item_factors = tables

    def recommend(self) -> NDArray[Any]:
        found, _ = self._model.recommend(
            np.arange(self._data.train.n_users), self._matrix, N=K, filter_already_liked_items=True
        )
        return found

    def evaluate(self) -> str:
        from implicit.evaluation import ranking_metrics_at_k

        found = ranking_metrics_at_k(
            self._model, self._matrix, self._test, K=K, show_progress=False, num_threads=get_threads()
        )
        return f"its precision@{K} {found['precision']:.4f}"


class ImplicitALS(_Implicit):
    settings = "alpha=40 regularization=.01"

    def _make(self, factors: int) -> Any:
        from implicit.cpu.als import AlternatingLeastSquares

        return AlternatingLeastSquares(
            factors, alpha=40.0, regularization=0.01, num_threads=get_threads(), random_state=0
        )


class ImplicitBPR(_Implicit):
    settings = "learning_rate=.05 regularization=.01 N=1"

    def _make(self, factors: int) -> Any:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        return BayesianPersonalizedRanking(
            factors, learning_rate=0.05, regularization=0.01, num_threads=get_threads(), random_state=0
        )


class LensKitALS:
    settings = "weight=40 regularization=.1"

    def __init__(self, data: Data, arguments: Namespace):
        import pandas as pd
        from lenskit.als import ImplicitMFScorer
        from lenskit.data import from_interactions_df

        frame = pd.DataFrame({"user_id": data.train.user_index, "item_id": data.train.indices})
        self._dataset = from_interactions_df(frame)
        self._scorer = ImplicitMFScorer(
            embedding_size=arguments.embedding_dim, weight=40.0, regularization=0.1, user_embeddings="prefer"
        )
        self._trainer: Any = None
        self._data = data

    def _start(self) -> None:
        if self._trainer is None:
            from lenskit.training import TrainingOptions

            self._trainer = self._scorer.create_trainer(self._dataset, TrainingOptions(rng=0))

    def epoch(self) -> float:
        self._start()
        started = time.perf_counter()
        self._trainer.train_epoch()
        return time.perf_counter() - started

    def fit(self, after: After) -> None:
        for _ in range(self._scorer.config.epochs):
            self.epoch()
            after()

    def tables(self) -> Tables:
        known = self._scorer
        return (
            _placed(known.user_embeddings, known.users.ids(), self._data.train.n_users),
            _placed(known.item_embeddings, known.items.ids(), self._data.train.n_items),
        )

    def use(self, tables: Tables) -> None:
        from lenskit.pipeline import topn_pipeline
        from lenskit.training import TrainingOptions

        self._start()
        known = self._scorer
        known.trained_epochs = 1  # so that the pipeline trains what it lacks and leaves this alone
        known.user_embeddings, known.item_embeddings = tables[0][known.users.ids()], tables[1][known.items.ids()]
        self._pipeline = topn_pipeline(known, n=K)
        self._pipeline.train(self._dataset, TrainingOptions(retrain=False))

    def recommend(self) -> NDArray[Any]:
        """Return the lists of the first users only: it makes one after the other, milliseconds each."""
        from lenskit.batch import recommend

        users = list(range(min(SOME, self._data.train.n_users)))
        found = recommend(self._pipeline, users, K, n_jobs=1)
        return np.array([found.lookup(user_id=user).ids() for user in users])


class RecBoleBPR:
    settings = "B=2048 learning_rate=.001 N=1"

    def __init__(self, data: Data, arguments: Namespace):
        for old, new in {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}.items():
            if not hasattr(np, old):  # RecBole 1.2 asks for names that NumPy 2 gave up
                setattr(np, old, new)
        from recbole.config import Config
        from recbole.data import create_dataset, data_preparation
        from recbole.model.general_recommender import BPR
        from recbole.trainer import Trainer

        self._files = tempfile.TemporaryDirectory()
        folder = Path(self._files.name) / "data"
        folder.mkdir()
        for name, part in {"train": data.train, "valid": data.test, "test": data.test}.items():
            pairs = zip(part.user_index.tolist(), part.indices.tolist(), strict=True)
            lines = "".join(f"{user}\t{item}\n" for user, item in pairs)
            (folder / f"data.{name}.inter").write_text("user_id:token\titem_id:token\n" + lines)
        options = {
            "data_path": self._files.name, "checkpoint_dir": self._files.name, "state": "ERROR", "use_gpu": False,
            "benchmark_filename": ["train", "valid", "test"], "load_col": {"inter": ["user_id", "item_id"]},
            "embedding_size": arguments.embedding_dim, "train_batch_size": 2048, "show_progress": False,
            "topk": [K], "metrics": ["Recall", "MRR", "NDCG", "Hit", "Precision", "MAP"], "valid_metric": f"Recall@{K}",
            "eval_batch_size": 1024 * data.train.n_items, "eval_args": {"mode": "full", "group_by": "user"},
        }  # fmt: skip
        torch.set_num_threads(get_threads())
        config = Config(model="BPR", dataset="data", config_dict=options)
        self._train, _, self._test = data_preparation(config, create_dataset(config))
        self._model = BPR(config, self._train.dataset)
        with contextlib.chdir(self._files.name):  # it leaves files for a viewer where it is
            self._trainer = Trainer(config, self._model)
        self._epoch, self._data = 0, data

    def epoch(self) -> float:
        started = time.perf_counter()
        self._trainer._train_epoch(self._train, self._epoch)
        self._epoch += 1
        return time.perf_counter() - started

    def fit(self, after: After) -> None:
        for _ in range(EPOCHS):
            self.epoch()
            after()

    def _ids(self, field: str) -> NDArray[np.int64]:
        """Return our index of each row but the first, which stands for nobody."""
        return np.array(self._train.dataset.field2id_token[field][1:], dtype=np.int64)

    def tables(self) -> Tables:
        users, items = (
            layer.weight.detach().numpy()[1:] for layer in (self._model.user_embedding, self._model.item_embedding)
        )
        return (
            _placed(users, self._ids("user_id"), self._data.train.n_users),
            _placed(items, self._ids("item_id"), self._data.train.n_items),
        )

    def use(self, tables: Tables) -> None:
        layers = (self._model.user_embedding, self._model.item_embedding)
        for layer, table, field in zip(layers, tables, ("user_id", "item_id"), strict=True):
            layer.weight.data[1:] = torch.from_numpy(table[self._ids(field)])

    def evaluate(self) -> str:
        found = self._trainer.evaluate(self._test, load_best_model=False)
        return f"its Recall@{K} {found[f'recall@{K}']:.4f}"


def _placed(rows: NDArray[np.float32], index: NDArray[np.integer], n: int) -> NDArray[np.float32]:
    """Return a table of ``n`` rows, the given ones at ``index``, the others zero."""
    table = np.zeros((n, rows.shape[1]), np.float32)
    table[index] = rows
    return table


PEERS = {
    "implicit ALS": ImplicitALS,
    "implicit BPR": ImplicitBPR,
    "LensKit ALS": LensKitALS,
    "RecBole BPR": RecBoleBPR,
}
