"""Going on from a model: what is known is taken over, new users and items are begun from their interactions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multimargin import checks
from multimargin.data import Interactions, Vocabulary
from multimargin.encoders import Encoder
from multimargin.errors import ArgumentError
from multimargin.recipes.run import Run, load
from multimargin.recommend import Recommender
from multimargin.recommend.table_scorer import TableScorer
from multimargin.train import checkpoint


@dataclass(frozen=True)
class Start:
    """A model to go on from.

    Args:
        seen: what its users have seen; carries its vocabularies.
        state: the parameters of its encoder.
    """

    seen: Interactions
    state: Mapping[str, Tensor]

    @classmethod
    def of(cls, source: Recommender | str | Path) -> "Start":
        """Return what there is to go on from: a run folder has every parameter, a model alone has its two tables.

        Raises:
            ArgumentError: the model has no vectors, or vectors changed by popularity.
            CheckpointError: there is neither a run nor a model.
        """
        model = source if isinstance(source, Recommender) else load(source)
        run = None if isinstance(source, Recommender) else Run(Path(source))
        if run is not None and run.exists() and run.checkpoint.exists():
            tensors, _ = checkpoint.load(run.checkpoint)
            kept = "best." if any(name.startswith("best.") for name in tensors) else "encoder."
            state = {name.removeprefix(kept): each for name, each in tensors.items() if name.startswith(kept)}
            return cls(model.seen, state)
        if not isinstance(model.scorer, TableScorer) or model.info.get("popularity"):
            what = "a run folder, or a model of two tables as they were trained"
            checks.fail("start", f"be {what}", model, "Name the folder that fit wrote.")
        tables = {"user_table": model.user_table, "item_table": model.item_table}
        return cls(model.seen, {name: torch.from_numpy(each.copy()) for name, each in tables.items()})

    def vocabularies(self, data: Interactions) -> tuple[Vocabulary, Vocabulary]:
        """Return the users and items of the model, those that only ``data`` has behind."""
        return self.seen.users.extended(data.users.series), self.seen.items.extended(data.items.series)

    def give(self, encoder: Encoder, train: Interactions) -> None:
        """Let ``encoder``, built for ``train``, begin with what the model knows.

        Rows of known users and items and all other parameters are the model's. A new item begins with the mean
        direction of its known users, a new user with that of their items, at the median length of the known; who has
        none of them begins as in any training, or with the row for the unknown where there is one.

        Raises:
            ArgumentError: the model is another encoder's, or of another size.
        """
        own = encoder.state_dict()
        if own.keys() != self.state.keys():
            checks.fail("start", f"be a model with the parameters {', '.join(own)}", ", ".join(self.state))
        known = {
            "user": self.seen.users.find(train.users.series),
            "item": self.seen.items.find(train.items.series),
        }
        for name, tensor in own.items():
            _take(name, tensor, self.state[name], known, encoder)
        if {"user_table", "item_table"} <= own.keys():
            seen = train.to_csr() != 0  # (U, I)
            _begin(own["item_table"], known["item"], seen.T @ _directions(own["user_table"], known["user"] >= 0))
            everything = np.ones(train.n_items, dtype=bool)
            _begin(own["user_table"], known["user"], seen @ _directions(own["item_table"], everything))


def _take(name: str, tensor: Tensor, theirs: Tensor, known: Mapping[str, NDArray[np.int64]], encoder: Encoder) -> None:
    kind = encoder.rows_of(name)
    if (tensor.shape if kind is None else tensor.shape[1:]) != (theirs.shape if kind is None else theirs.shape[1:]):
        raise ArgumentError(
            f"start must be a model whose {name} is {tuple(tensor.shape)}, but for the number of users and items; got "
            f"{tuple(theirs.shape)}. Give the encoder the same arguments and columns."
        )
    if kind is None:
        tensor.copy_(theirs)
        return
    rows = torch.from_numpy(known[kind])
    unknown = len(tensor) - len(rows)  # rows that stand for whoever is unknown
    if unknown:
        tensor.copy_(theirs[:1].expand_as(tensor))
    tensor[unknown:][rows >= 0] = theirs[unknown:][rows[rows >= 0]]


def _directions(table: Tensor, known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return rows of length 1, those that are not known 0."""
    found: NDArray[np.float32] = torch.nn.functional.normalize(table, dim=-1, eps=1e-12).numpy() * known[:, None]
    return found


def _begin(table: Tensor, rows: NDArray[np.int64], direction: NDArray[np.float32]) -> None:
    """Let new rows have this direction, where it is not 0, at the median length of the known."""
    new = torch.from_numpy((rows < 0) & (np.abs(direction).max(axis=1, initial=0) > 0))
    length = table[torch.from_numpy(rows >= 0)].norm(dim=-1).median()
    table[new] = length * torch.nn.functional.normalize(torch.from_numpy(direction), dim=-1, eps=1e-12)[new]
