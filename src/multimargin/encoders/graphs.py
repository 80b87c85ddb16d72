"""What encoders on the graph of interactions share: their tables, the rows of a step, penalty and contrast."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from multimargin.data.interactions import Interactions
from multimargin.kernels.draws import bits_reference
from multimargin.kernels.propagation import Graph
from multimargin.rng import CounterRng


class Seen(NamedTuple):
    """The distinct users and items of a step, both increasing, and their rows of layer 0."""

    users: Tensor
    items: Tensor
    user_rows: Tensor
    item_rows: Tensor


def graph_of(train: Interactions) -> Graph:
    """Return the graph whose edges are the interactions."""
    return Graph.of(train.indptr, train.indices, train.n_items)


def normal_table(rows: int, dim: int, init_std: float, rng: np.random.Generator) -> nn.Parameter:
    """Return a parameter of N(0, init_std**2) entries."""
    values = rng.standard_normal((rows, dim), dtype=np.float32)
    values *= np.float32(init_std)
    return nn.Parameter(torch.from_numpy(values))


def noise_keys(rng: CounterRng) -> tuple[int, int]:
    """Return two keys of a step: numbers 2p and 2p + 1 of its stream, p its place."""
    counters = np.uint64(2 * rng.offset) + np.arange(2, dtype=np.uint64)
    first, second = bits_reference(rng.key, counters).tolist()
    return first, second


def batch_penalty(seen: Seen, users: Tensor, positives: Tensor, negatives: Tensor) -> Float[Tensor, ""]:
    r"""Return half the squared length of a batch's layer 0.

    .. math:: \frac{1}{2B} \sum_b \Big( |e_u|^2 + |e_i|^2 + \frac1N \sum_n |e_j|^2 \Big)

    Shared negatives count as if each row had them.
    """
    of_users, of_items = (rows.square().sum(-1) for rows in (seen.user_rows, seen.item_rows))
    terms = [of_users[torch.searchsorted(seen.users, users)]]
    terms += [of_items[torch.searchsorted(seen.items, index.contiguous())] for index in (positives, negatives)]
    return torch.stack([term.mean() for term in terms if term.numel()]).sum() / 2


def contrast(one: Float[Tensor, "n D"], other: Float[Tensor, "n D"], temperature: float) -> Float[Tensor, ""]:
    r"""Return InfoNCE: rows of two views find each other among all rows.

    .. math:: -\frac1n \sum_a \log \frac{e^{c(a, a')/\tau}}{\sum_{b'} e^{c(a, b')/\tau}}

    c is the cosine, :math:`\tau` ``temperature``.
    """
    first, second = (normalize(rows, dim=-1, eps=1e-12) for rows in (one, other))
    logits = first @ second.T / temperature  # (n, n)
    return (logits.logsumexp(1) - logits.diagonal()).mean()
