"""SASRec of other libraries on our data: each trains some steps and says how many interactions it learnt from."""

import logging
import tempfile
import time
import warnings
from argparse import Namespace
from typing import Any

import numpy as np
import torch
from data import Data

from multimargin.kernels.threads import get_threads


class RecToolsSASRec:
    """Its own fit: sessions padded on the left, a loss at every place of them."""

    def __init__(self, data: Data, arguments: Namespace):
        import pandas as pd
        from pytorch_lightning import Callback, Trainer
        from rectools.dataset import Dataset
        from rectools.models import SASRecModel

        warnings.simplefilter("ignore")
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        torch.set_num_threads(get_threads())
        train, peer = data.train, self
        times = pd.to_datetime(train.timestamps, unit="s")
        frame = {"user_id": train.user_index, "item_id": train.indices, "weight": 1.0, "datetime": times}
        self._dataset = Dataset.construct(pd.DataFrame(frame))
        self._n, self._learnt, self._seconds = len(train), 0, 0.0

        class Clock(Callback):
            def on_train_batch_start(self, *_: Any) -> None:
                self.started = time.perf_counter() if peer._learnt == 0 else self.started

            def on_train_batch_end(self, _: Any, __: Any, ___: Any, batch: Any, *____: Any) -> None:
                peer._learnt += int((batch["y"] != 0).sum())
                peer._seconds = time.perf_counter() - self.started

        def trainer() -> Trainer:
            return Trainer(
                accelerator="cpu", max_epochs=1, limit_train_batches=arguments.steps, logger=False,
                enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[Clock()],
            )  # fmt: skip

        kept = np.minimum(train.user_counts, arguments.max_length)
        self._model = SASRecModel(
            n_factors=arguments.embedding_dim, n_blocks=2, n_heads=1, session_max_len=arguments.max_length,
            dropout_rate=0.2, loss="BCE", n_negatives=1, lr=1e-3, dataloader_num_workers=0, get_trainer_func=trainer,
            batch_size=max(round(arguments.sequence_batch_size / kept.mean()), 1),
        )  # fmt: skip
        self.note = f"learns from {(kept - 1).clip(0).sum() / len(train):.0%} of the interactions in an epoch"

    def epoch(self) -> float:
        """Train some steps; return seconds for as many interactions as there are."""
        self._learnt = 0
        self._model.fit(self._dataset)
        return self._seconds * self._n / self._learnt


class RecBoleSASRec:
    """Its model in a loop of Adam: a padded sequence of what came before for each interaction."""

    note = "a sequence for each interaction"

    def __init__(self, data: Data, arguments: Namespace):
        for old, new in {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}.items():
            if not hasattr(np, old):  # RecBole 1.2 asks for names that NumPy 2 gave up
                setattr(np, old, new)
        from recbole.config import Config
        from recbole.model.sequential_recommender import SASRec

        torch.set_num_threads(get_threads())
        train, dim = data.train, arguments.embedding_dim
        with tempfile.TemporaryDirectory() as folder:
            options = {
                "data_path": folder, "checkpoint_dir": folder, "state": "ERROR", "use_gpu": False, "hidden_size": dim,
                "inner_size": dim, "n_heads": 1, "hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2,
                "MAX_ITEM_LIST_LENGTH": arguments.max_length, "loss_type": "BPR", "load_col": None,
            }  # fmt: skip
            config = Config(model="SASRec", dataset="data", config_dict=options)
        catalogue = Namespace(num=lambda _: train.n_items + 1)
        self._model = SASRec(config, catalogue)
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=1e-3)
        order = np.lexsort((train.timestamps, train.user_index))
        self._items, self._first = train.indices[order].astype(np.int64) + 1, train.indptr[train.user_index]
        self._n_items, self._arguments = train.n_items, arguments
        self._rng = np.random.default_rng(0)

    def epoch(self) -> float:
        """Train some steps; return seconds for as many interactions as there are."""
        size, longest, n = self._arguments.sequence_batch_size, self._arguments.max_length, len(self._items)
        places = self._rng.permutation(np.flatnonzero(np.arange(n) > self._first))[: size * self._arguments.steps]
        started = time.perf_counter()
        for chosen in np.split(places, range(size, len(places), size)):
            lengths = np.minimum(chosen - self._first[chosen], longest)
            before = chosen[:, None] - lengths[:, None] + np.arange(longest)
            held = np.arange(longest) < lengths[:, None]
            model, drawn = self._model, self._rng.integers(1, self._n_items + 1, len(chosen))
            batch = {
                model.ITEM_SEQ: np.where(held, self._items[np.where(held, before, 0)], 0),
                model.ITEM_SEQ_LEN: lengths, model.POS_ITEM_ID: self._items[chosen], model.NEG_ITEM_ID: drawn,
            }  # fmt: skip
            self._optimizer.zero_grad()
            model.calculate_loss({name: torch.from_numpy(each) for name, each in batch.items()}).backward()
            self._optimizer.step()
        return (time.perf_counter() - started) * n / len(places)


SEQUENCE_PEERS = {"RecTools SASRec": RecToolsSASRec, "RecBole SASRec": RecBoleSASRec}
