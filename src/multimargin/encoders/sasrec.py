"""SASRec: a user is the sequence of what they touched, read by causal attention."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding, layer_norm

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.encoders.base import Encoder, Similarity
from multimargin.encoders.causal_blocks import CausalBlock, grouped
from multimargin.encoders.mf import normal_table
from multimargin.encoders.sequence_reader import SequenceReader
from multimargin.encoders.sequences import Sequences, Windows
from multimargin.kernels.draws import dropout_scale
from multimargin.ranges import Range, searched
from multimargin.rng import CounterRng

_BLOCK = 256  # users whose histories are read at a time where whole tables are made


class SASRec(Encoder):
    r"""The sequence of what a user touched, read by causal attention; the vector is that of the last place.
    Also known as: self-attentive sequential recommendation; with gBCE: gSASRec.

    .. math:: u_t = \mathrm{norm}\; \mathrm{block}_n \cdots \mathrm{block}_1
        (p_0,\; \sqrt D\, v_{i_1} + p_1,\; \ldots,\; \sqrt D\, v_{i_t} + p_t)_t

    :math:`i_1, i_2, \ldots` are the user's items by time (those of one time by index), v the vectors that items are
    scored with, p learnt vectors of places. A training interaction is scored with the vector of what came before it,
    and one pass over a user serves all of theirs. Before the first item there is :math:`p_0`, so that first
    interactions are learnt from, too, and a user without a history has a vector.

    Use:
        sequences: the order of what users touched says what comes next; new users and changing histories.
    Args:
        embedding_dim: D, 1 or more, a multiple of ``n_heads``.
        max_length: most items of a history that count, 1 or more; the latest. In training, a longer sequence is read in
            windows that overlap by a quarter, so that an interaction sees between a quarter of it and all of it.
        n_blocks: blocks of attention, 1 or more.
        n_heads: heads of each, 1 or more.
        inner_dim: size of the layer inside a block, 1 or more; None: D.
        dropout: share of entries of the input and of what each half of a block adds that are zeroed in training, in
            [0, 1). What the loop drops of the user's vector comes on top: set that to 0.
        similarity: "dot" (BCE, softmax) or "cosine" (margin losses).
        init_std: standard deviation of the initial N(0, init_std**2) vectors of items and places, above 0.

    Raises:
        DataError: the interactions have no timestamps.
    Source:
        Kang and McAuley 2018, arXiv 1808.09781.
    Differs:
        Each half of a block normalises what goes into it, keys and values as well as queries; there, queries alone.
        Places count from the beginning of a window, not from its end. No dropout of attention weights. There the first
        interaction is not learnt from, nor is what lies before the latest ``max_length``. The positive of a place is
        scored against N negatives by any loss; there, by BCE against one.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> users, items = Vocabulary.range(2), Vocabulary.range(3)
        >>> pairs = np.array([0, 0, 1]), np.array([0, 1, 2])
        >>> train = Interactions.from_pairs(*pairs, users, items, timestamps=np.array([5, 3, 4]))
        >>> encoder = SASRec(4)
        >>> encoder.build(train, rng=np.random.default_rng(0))
        >>> encoder.encode_users(torch.tensor([1])).shape
        torch.Size([1, 4])
    """

    encodes_batches = items_are_table = by_user = True
    ranges = searched(n_blocks=Range(1, 3), dropout=Range(0.0, 0.5))

    def __init__(
        self,
        embedding_dim: int = 64,
        *,
        max_length: int = 200,
        n_blocks: int = 2,
        n_heads: int = 1,
        inner_dim: int | None = None,
        dropout: float = 0.2,
        similarity: Similarity = "dot",
        init_std: float = 0.02,
    ):
        super().__init__()
        self.embedding_dim = checks.positive_int("embedding_dim", embedding_dim)
        self.max_length = checks.positive_int("max_length", max_length)
        self.n_blocks = checks.positive_int("n_blocks", n_blocks)
        self.n_heads = checks.positive_int("n_heads", n_heads)
        if self.embedding_dim % self.n_heads:
            checks.fail("n_heads", f"divide embedding_dim ({embedding_dim})", n_heads)
        self.inner_dim = self.embedding_dim if inner_dim is None else checks.positive_int("inner_dim", inner_dim)
        self.dropout = checks.fraction("dropout", dropout)
        checks.choice("similarity", similarity, ("cosine", "dot"))
        self.similarity = similarity
        self.init_std = checks.positive("init_std", init_std)
        self._key: int | None = None  # of this step's dropout

    def build(self, train: Interactions, *, rng: np.random.Generator) -> None:
        """Create the vectors of items, then those of places, then the blocks, from ``rng``; order the histories."""
        dim = self.embedding_dim
        self._sequences = self._ordered(train)
        self.item_table = normal_table(train.n_items, dim, self.init_std, rng)
        self.place_table = normal_table(self.max_length + 1, dim, self.init_std, rng)
        self.blocks = nn.ModuleList(
            CausalBlock(dim, self.inner_dim, self.n_heads, rng=rng) for _ in range(self.n_blocks)
        )
        self.norm, self.shift = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))
        self._n_users = train.n_users

    def tables(self) -> tuple[Float[Tensor, "U D"], Float[Tensor, "I D"]]:
        """Return the vector of every user after all of their history, and the item table."""
        return self._after(self._sequences, np.arange(self._n_users)), self.item_table

    def user_table_after(self, history: Interactions) -> Float[Tensor, "U D"]:
        """Return the vector of every user of ``history``, which holds it whole."""
        return self._after(self._ordered(history), np.arange(history.n_users))

    def encode_users(self, users: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Return the vectors of ``users`` after all of their histories."""
        return self._after(self._sequences, users.cpu().numpy())

    def encode_items(self, items: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Return the rows of the item table."""
        return embedding(items, self.item_table, sparse=True)

    def encode_queries(self, users: Int[Tensor, " B"], interactions: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Return the vectors of ``users``, each after what came before its interaction."""
        windows, places = self._sequences.before(users.cpu().numpy(), interactions.cpu().numpy())
        return self._read(windows, dropped=self.dropout if self.training else 0.0)[self._tensor(places)]

    def fold_in(self) -> SequenceReader:
        """Return what reads a new user's history."""
        blocks = [each for each in self.blocks if isinstance(each, CausalBlock)]
        norms = [torch.stack((each.norm_1, each.shift_1, each.norm_2, each.shift_2)) for each in blocks]
        tensors: dict[str, Tensor] = {"held": self.item_table, "places": self.place_table}
        tensors |= {"norms": torch.stack(norms), "last": torch.stack((self.norm, self.shift))}
        for name in ("asked_and_held", "out", "inner", "inner_bias", "outer", "outer_bias"):
            tensors[name] = torch.stack([getattr(each, name) for each in blocks])
        arrays = {name: each.detach().float().cpu().numpy() for name, each in tensors.items()}
        return SequenceReader(**arrays, n_heads=self.n_heads)

    def rows_read(
        self,
        users: Int[Tensor, " B"],
        items: Int[Tensor, " n"],  # noqa: ARG002 - the loop knows that it reads them
    ) -> Mapping[nn.Parameter, Tensor]:
        """Return the rows of what is in the histories."""
        return {self.item_table: self._tensor(self._sequences.read_of(users.cpu().numpy()))}

    def start_step(self, rng: CounterRng) -> None:
        """Take the key of this step's dropout."""
        self._key = int(rng.generator().integers(2**63))

    def _ordered(self, log: Interactions) -> Sequences:
        return Sequences(log, self.max_length, wanted_by="SASRec")

    def _after(self, sequences: Sequences, users: NDArray[np.int64]) -> Float[Tensor, "B D"]:
        parts = []
        for start in range(0, len(users), _BLOCK):
            windows, places = sequences.ends(users[start : start + _BLOCK])
            parts.append(self._read(windows, dropped=0.0)[self._tensor(places)])
        return torch.cat(parts) if parts else self.item_table.new_empty(0, self.embedding_dim)

    def _read(self, windows: Windows, *, dropped: float) -> Float[Tensor, "P D"]:
        """Return the vector of each place."""
        distinct, where = np.unique(windows.items, return_inverse=True)  # -1 first: each window has one
        held = embedding(self._tensor(distinct[1:]), self.item_table, sparse=True) * self.embedding_dim**0.5
        held = torch.cat((held.new_zeros(1, self.embedding_dim), held))  # before the first item there is none
        x = embedding(self._tensor(where), held) + embedding(self._tensor(windows.within), self.place_table)  # (P, D)
        drop = _Dropout(self._key, dropped)
        x, groups = drop(x), grouped(windows.sizes, x.device)
        for block in self.blocks:
            x = block(x, groups, drop)
        return layer_norm(x, self.norm.shape, self.norm, self.shift)

    def _tensor(self, array: NDArray[np.int64]) -> Int[Tensor, " n"]:
        return torch.from_numpy(np.asarray(array, dtype=np.int64)).to(self.item_table.device)


class _Dropout:
    """Zeroes a share of entries, each time others, and scales up the rest; every step has a key of its own."""

    def __init__(self, key: int | None, dropped: float):
        self._key, self._dropped, self._place = key, dropped, 0

    def __call__(self, x: Float[Tensor, "P D"]) -> Float[Tensor, "P D"]:
        if self._key is None or self._dropped == 0:  # outside of a step nothing is dropped
            return x
        scale = dropout_scale(np.uint64(self._key), self._place, len(x), x.shape[1], self._dropped)
        self._place += len(x)
        return x * torch.from_numpy(scale).to(x.device, x.dtype)
