"""Vectors that travel along a bipartite graph: layer after layer, each row the weighted sum of its neighbours' rows.

Contract: ``propagate(...)`` and ``propagate_rows(...)`` equal ``reference``'s, values and gradients; the second makes
the last layer, and the first product of its backward, only where the rows that are asked for need it.

.. math::
    A = D^{-1/2} \\begin{pmatrix} 0 & R \\\\ R^\\top & 0 \\end{pmatrix} D^{-1/2} \\qquad
    E^{(l)} = A E^{(l-1)} \\;(+ \\text{noise}) \\qquad T = \\sum_{l=0}^{L} w_l E^{(l)}

R holds the interactions, D the degrees. A is symmetric: the gradient of the parameters is the same sum of powers of A,
applied to the gradient of T. ``cpu`` (numba) takes float32 tables in main memory, ``reference`` (``torch.sparse``) any.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from multimargin import checks
from multimargin.kernels.propagation import reference
from multimargin.kernels.propagation.graph import Graph

__all__ = ["Graph", "Noise", "checked_weights", "propagate", "propagate_rows"]

Rows = tuple[Float[Tensor, "B D"], Float[Tensor, "S D"]]


class Noise(NamedTuple):
    """What every layer above 0 is moved by: ``size * sign(e) * u / |u|``, u uniform in [0, 1) by (key, layer, row).

    Its gradient is that of a constant. Rows are numbered users first.
    """

    size: float
    key: int


def checked_weights(layers: int, layer_weights: Sequence[float] | None) -> tuple[float, ...]:
    """Return the weights of layers 0 to ``layers``, by default all alike."""
    checks.at_least("layers", layers, 0)
    if layer_weights is None:
        return (1 / (layers + 1),) * (layers + 1)
    weights = tuple(checks.not_negative(f"layer_weights[{k}]", weight) for k, weight in enumerate(layer_weights))
    if len(weights) != layers + 1:
        checks.fail("layer_weights", f"have {layers + 1} numbers, layers + 1", len(weights), "Layer 0 comes first.")
    if not any(weights):
        checks.fail("layer_weights", "not all be 0", weights, "Leave it out for the mean.")
    return weights


def propagate(
    graph: Graph,
    user_table: Float[Tensor, "U D"],
    item_table: Float[Tensor, "I D"],
    weights: Sequence[float],
    *,
    impl: Literal["auto", "cpu", "reference"] = "auto",
) -> tuple[Float[Tensor, "U D"], Float[Tensor, "I D"]]:
    """Return T for all users and all items.

    Args:
        graph: of U users and I items.
        user_table: (U, D) layer 0 of the users.
        item_table: (I, D) layer 0 of the items.
        weights: (L + 1,) of the layers, layer 0 first.
        impl: "cpu" (float32 in main memory), "reference" (any device and dtype), or "auto": "cpu" where it can run.

    Raises:
        ArgumentError: an unknown ``impl``, or "cpu" with tables that it cannot take.
    """
    if _choose(impl, user_table, item_table) == "reference":
        return reference.propagate(graph, user_table, item_table, weights)
    from multimargin.kernels.propagation import cpu

    return cpu.propagate(graph, user_table, item_table, tuple(weights))


def propagate_rows(
    graph: Graph,
    user_table: Float[Tensor, "U D"],
    item_table: Float[Tensor, "I D"],
    users: Int[Tensor, " B"],
    items: Int[Tensor, " S"],
    weights: Sequence[float],
    *,
    kept: Sequence[int] = (),
    noise: Noise | None = None,
    impl: Literal["auto", "cpu", "reference"] = "auto",
) -> list[Rows]:
    """Return rows ``users`` and ``items`` of T, and of the layers ``kept`` besides, in that order.

    Args:
        graph: as in ``propagate``, and so are the tables, ``weights`` and ``impl``.
        user_table: layer 0 of the users.
        item_table: layer 0 of the items.
        users: (B,) int64 distinct rows.
        items: (S,) int64 distinct rows.
        weights: of the layers.
        kept: layers whose rows are returned too, each in 0..L.
        noise: added to each layer above 0 where it is made; None: nothing.
        impl: which implementation.

    Raises:
        ArgumentError: as in ``propagate``.
    """
    arguments = graph, user_table, item_table, users, items
    if _choose(impl, user_table, item_table) == "reference":
        return reference.propagate_rows(*arguments, weights, kept, noise)
    from multimargin.kernels.propagation import cpu

    return cpu.propagate_rows(*arguments, tuple(weights), tuple(kept), noise)


def _choose(asked: str, *tables: Tensor) -> str:
    checks.choice("impl", asked, ("auto", "cpu", "reference"))
    able = all(table.device.type == "cpu" and table.dtype == torch.float32 for table in tables)
    if asked == "cpu" and not able:
        found = " and ".join(f"{table.dtype} on {table.device}" for table in tables)
        checks.fail("impl", "be 'auto' or 'reference' for these tables", asked, f"They are {found}.")
    return asked if asked != "auto" else ("cpu" if able else "reference")
