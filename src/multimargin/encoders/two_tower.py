"""Two towers: ids and features of users, ids and features of items, each through layers of its own."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag, linear

from multimargin import checks
from multimargin.data.features import FeatureMatrix, Features
from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary
from multimargin.encoders.base import Encoder, Similarity
from multimargin.encoders.mf import normal_table
from multimargin.ranges import Range, searched
from multimargin.rng import CounterRng


class TwoTower(Encoder):
    r"""A vector for an id plus its features' vectors, through a small network.  Also known as: dual encoder, DSSM.

    .. math:: x_i = e_i + \sum_f X_{if}\, w_f, \qquad v_i = x_i + W_2\,\mathrm{relu}(W_1 x_i + b_1) + b_2

    and users alike, with tables and layers of their own. X holds the features; see ``data.features`` for how columns of
    numbers, text and lists become it. Whoever has features and no interactions (an item that is new) shares one vector
    e_0 with all others unknown, gets a vector, and appears in recommendations. There is no normalisation and no dropout
    of activations: the cosine and the loop's dropout are both at the end.

    Args:
        embedding_dim: D, 1 or more.
        user_features: frame, or path of a .parquet, .csv or .tsv file, with a column user_id and features; None: ids
            alone.
        item_features: the same for items, with a column item_id.
        hidden: widths of the hidden layers, for instance (128,); (): none, and vectors are the sums x. Layers move all
            vectors at once: give them a small learning rate, 1e-3, and a softmax loss or BPR. Margin losses on cosines
            leave a direction common to all vectors free, and layers find it (vectors collapse towards one).
        id_dropout: probability with which, in a training step, an id that has features is taken for unknown, in [0, 1):
            so e_0 and features learn to do without it. 0 where no new ids are expected.
        categorical: columns of numbers whose values are names, such as a genre's number.
        separator: what stands between several values in a column of text; None: nothing does.
        similarity: "cosine" (margin and softmax losses) or "dot" (BPR, BCE).
        init_std: standard deviation of the initial N(0, init_std**2) vectors, above 0. Matrices start as those of
            PyTorch's linear layers do, biases at 0.

    Relations:
        MF without features and hidden layers; LightFM's sum of features without hidden layers.
    Source:
        Huang et al., CIKM 2013 (two towers); Yi et al., RecSys 2019; Kula, arXiv 1507.08439 (sums of features); Volkovs
        et al., NeurIPS 2017 (dropping what a newcomer lacks).
    Differs:
        The layers are added to their input, so that a network that has learnt nothing yet is a table. Items that the
        log's vocabulary knows without interactions are drawn as negatives like all others, which pushes e_0 away from
        users; newcomers that only the features know are not.
    Example:
        >>> users, items = Vocabulary.range(1, kind="user"), Vocabulary(["a", "b"], kind="item")
        >>> train = Interactions.from_pairs(np.array([0, 0]), np.array([0, 1]), users, items)
        >>> features = pl.DataFrame({"item_id": ["a", "b", "new"], "genre": ["jazz", "folk", "folk"]})
        >>> encoder = TwoTower(4, item_features=features)
        >>> encoder.build(train, rng=np.random.default_rng(0))
        >>> encoder.new_items()[0].to_list()
        ['new']
    """

    encodes_batches = True
    ranges = searched(id_dropout=Range(0.0, 0.5))

    def __init__(
        self,
        embedding_dim: int = 64,
        *,
        user_features: Any = None,
        item_features: Any = None,
        hidden: Sequence[int] = (),
        id_dropout: float = 0.1,
        categorical: Sequence[str] = (),
        separator: str | None = "|",
        similarity: Similarity = "cosine",
        init_std: float = 0.1,
    ):
        super().__init__()
        self.embedding_dim = checks.positive_int("embedding_dim", embedding_dim)
        self.hidden = [checks.positive_int("hidden", width) for width in hidden]
        self.id_dropout = checks.fraction("id_dropout", id_dropout)
        checks.choice("similarity", similarity, ("cosine", "dot"))
        self.similarity = similarity
        self.init_std = checks.positive("init_std", init_std)
        self._categorical, self._separator = tuple(categorical), separator
        self._user_features, self._item_features = user_features, item_features
        self._rng: CounterRng | None = None

    def build(self, train: Interactions, *, rng: np.random.Generator) -> None:
        """Read the features and create tables and layers, users first, from ``rng``."""
        options: dict[str, Any] = {"categorical": self._categorical, "separator": self._separator}
        users = None if self._user_features is None else Features(self._user_features, kind="user", **options)
        items = None if self._item_features is None else Features(self._item_features, kind="item", **options)
        columns = [name for each in (users, items) if each is not None for name in each.columns]
        for name in self._categorical:
            if name not in columns:
                checks.fail(
                    "categorical", f"be of the columns {', '.join(columns)}", name, checks.nearest(name, columns)
                )
        self.users = self._tower(train.users, train.user_counts > 0, users, rng)
        self.items = self._tower(train.items, train.item_counts > 0, items, rng)

    def _tower(
        self, vocabulary: Vocabulary, known: NDArray[np.bool_], features: Features | None, rng: np.random.Generator
    ) -> "_Tower":
        sizes = [self.embedding_dim, *self.hidden, self.embedding_dim] if self.hidden else []
        return _Tower(vocabulary, known, features, self.embedding_dim, sizes, self.init_std, rng)

    def tables(self) -> tuple[Float[Tensor, "U D"], Float[Tensor, "I D"]]:
        """Return a vector for every user and item."""
        return self.users(self.users.everybody), self.items(self.items.everybody)

    def encode_users(self, users: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Return the vectors of ``users``."""
        return self.users(users)  # type: ignore[no-any-return]

    def encode_items(self, items: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Return the vectors of ``items``; in a training step some ids are taken for unknown."""
        return self.items(items, self._unknown("items", self.items, items))  # type: ignore[no-any-return]

    def encode_queries(
        self,
        users: Int[Tensor, " B"],
        interactions: Int[Tensor, " B"],  # noqa: ARG002 - a user is the same in all of theirs
    ) -> Float[Tensor, "B D"]:
        """Return the vectors of ``users``; in a training step some ids are taken for unknown."""
        return self.users(users, self._unknown("users", self.users, users))  # type: ignore[no-any-return]

    def start_step(self, rng: CounterRng) -> None:
        """Remember what ids are dropped by."""
        self._rng = rng

    def rows_read(self, users: Int[Tensor, " B"], items: Int[Tensor, " n"]) -> Mapping[nn.Parameter, Tensor]:
        """Return the rows of ids and of features."""
        return {**self.users.rows_read(users), **self.items.rows_read(items)}

    def new_users(self) -> tuple[pl.Series, Float[Tensor, "n D"]] | None:
        """Return ids and vectors of users that only the features know."""
        return self.users.newcomers()

    def new_items(self) -> tuple[pl.Series, Float[Tensor, "n D"]] | None:
        """Return ids and vectors of items that only the features know."""
        return self.items.newcomers()

    def _unknown(self, name: str, tower: "_Tower", index: Tensor) -> Tensor | None:
        if not self.training or self._rng is None or self.id_dropout == 0 or tower.features is None:
            return None
        drawn = self._rng.branch(name).generator().random(len(index)) < self.id_dropout
        return torch.from_numpy(drawn).to(index.device)


class _Tower(nn.Module):
    """One side: ``ids`` has a row for each id after one for all unknown, ``values`` one for each feature."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        known: NDArray[np.bool_],
        features: Features | None,
        dim: int,
        sizes: Sequence[int],
        std: float,
        rng: np.random.Generator,
    ):
        super().__init__()
        self.ids = normal_table(len(vocabulary) + 1, dim, std, rng)
        self.features: FeatureMatrix | None = None
        rows = np.full(len(vocabulary), -1, dtype=np.int64)
        if features is not None:
            rows = features.rows_of(vocabulary)
            learnt = np.zeros(len(features), dtype=bool)
            learnt[rows[(rows >= 0) & known]] = True
            self.features = features.matrix(learnt)
            self.new_ids, self._new_rows = features.beyond(vocabulary)
            self.values = normal_table(len(self.features.names), dim, std, rng)
        self._feature_rows = rows  # -1: none
        self._id_rows = torch.from_numpy(np.where(known, np.arange(1, len(vocabulary) + 1), 0))
        bounds = [(fan_in**-0.5, fan_in, fan_out) for fan_in, fan_out in pairwise(sizes)]
        self.weights = nn.ParameterList(
            torch.from_numpy(rng.uniform(-bound, bound, (fan_out, fan_in)).astype(np.float32))
            for bound, fan_in, fan_out in bounds
        )
        self.biases = nn.ParameterList(torch.zeros(fan_out) for _, _, fan_out in bounds)

    @property
    def everybody(self) -> Tensor:
        return torch.arange(len(self._id_rows), device=self.ids.device)

    def forward(self, index: Tensor, unknown: Tensor | None = None) -> Tensor:
        """Return the vectors of ``index`` (B,), of those in the mask ``unknown`` as if the id were new."""
        rows = self._id_rows.to(index.device)[index]
        if unknown is not None:  # without features there would be nothing left to tell them by
            has_features = torch.from_numpy(self._feature_rows >= 0).to(index.device)[index]
            rows = torch.where(unknown & has_features, 0, rows)
        return self._layers(embedding(rows, self.ids, sparse=True), self._feature_rows[index.cpu().numpy()])

    def newcomers(self) -> tuple[pl.Series, Tensor] | None:
        """Return ids and vectors of those that only the features know."""
        if self.features is None or not len(self.new_ids):
            return None
        return self.new_ids, self._layers(self.ids[:1].expand(len(self.new_ids), -1), self._new_rows)

    def rows_read(self, index: Tensor) -> dict[nn.Parameter, Tensor]:
        """Return the rows that ``index`` and unknown ids read."""
        rows = self._id_rows.to(index.device)[index]
        found = {self.ids: torch.cat((rows, rows.new_zeros(1)))}
        if self.features is not None:
            listed = np.zeros(len(self._feature_rows), dtype=bool)
            listed[index.cpu().numpy()] = True
            columns, _, _ = self._of_rows(self._feature_rows[listed])
            found[self.values] = torch.from_numpy(columns).to(index.device)
        return found

    def _layers(self, x: Tensor, feature_rows: NDArray[np.int64]) -> Tensor:
        if self.features is not None:
            columns, starts, weights = (torch.from_numpy(each).to(x.device) for each in self._of_rows(feature_rows))
            x = x + embedding_bag(
                columns, self.values, starts, mode="sum", per_sample_weights=weights.to(x.dtype), sparse=True
            )
        y = x
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            y = linear(y if number == 0 else y.relu(), weight, bias)
        return x if y is x else x + y

    def _of_rows(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Return the features of ``rows`` (B,), none of -1: columns (L,), where each row starts (B,), weights (L,)."""
        assert self.features is not None
        first, last = self.features.indptr[rows], self.features.indptr[rows + 1]
        sizes = np.where(rows < 0, 0, last - first)
        starts = np.cumsum(sizes) - sizes
        places = np.repeat(first - starts, sizes) + np.arange(int(sizes.sum()))
        return self.features.columns[places], starts, self.features.weights[places]
