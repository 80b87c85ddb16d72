"""What SASRec does with a history, by itself: so that a user who was not in training gets a vector."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin.encoders.fold_in import Array, FoldIn


@dataclass(frozen=True, eq=False)
class SequenceReader(FoldIn):
    """The vector after the last of a user's items, for one user, in float64; see ``SASRec`` for the formula.

    Args:
        held: (I, D) item vectors.
        places: (L + 1, D) those of places.
        norms: (n, 4, D) each block's norm and shift of its attention, norm and shift of its layers.
        asked_and_held: (n, 3 D, D) matrices of queries, keys, values.
        out: (n, D, D).
        inner: (n, inner, D).
        inner_bias: (n, inner).
        outer: (n, D, inner).
        outer_bias: (n, D).
        last: (2, D) norm and shift of what comes out.
        n_heads: heads of attention.
    """

    kind = "sequence"

    held: Array
    places: Array
    norms: Array
    asked_and_held: Array
    out: Array
    inner: Array
    inner_bias: Array
    outer: Array
    outer_bias: Array
    last: Array
    n_heads: int

    def vector(self, items: NDArray[np.integer[Any]], vectors: Array) -> Array:  # noqa: ARG002 - it has its own
        """Return (D,) for a user who touched ``items`` in this order; a repeated item counts where it is first."""
        _, first = np.unique(items, return_index=True)
        read = np.asarray(items)[np.sort(first)][1 - len(self.places) :]
        x = self.places[: len(read) + 1].astype(np.float64)  # (T, D), the first place stands before all items
        x[1:] += x.shape[1] ** 0.5 * self.held[read]
        for block in range(len(self.out)):
            norm_1, shift_1, norm_2, shift_2 = self.norms[block]
            x = x + self._attended(_normed(x, norm_1, shift_1), block) @ self.out[block].T
            within = np.maximum(_normed(x, norm_2, shift_2) @ self.inner[block].T + self.inner_bias[block], 0)
            x = x + within @ self.outer[block].T + self.outer_bias[block]
        return _normed(x[-1], *self.last).astype(np.float32)

    def _attended(self, x: NDArray[np.float64], block: int) -> NDArray[np.float64]:
        """Return (T, D) what each place finds up to itself."""
        size, dim = x.shape
        asked, key, value = (x @ self.asked_and_held[block].T).reshape(size, 3, self.n_heads, -1).transpose(1, 2, 0, 3)
        logits = asked @ key.transpose(0, 2, 1) * (dim / self.n_heads) ** -0.5  # (heads, T, T)
        logits[:, ~np.tri(size, dtype=bool)] = -np.inf
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        found: NDArray[np.float64] = (weights @ value).transpose(1, 0, 2).reshape(size, dim)
        return found


def _normed(x: NDArray[np.float64], norm: Array, shift: Array) -> NDArray[np.float64]:
    """Return ``layer_norm`` over the last axis, as PyTorch has it."""
    centred = x - x.mean(-1, keepdims=True)
    found: NDArray[np.float64] = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * norm + shift
    return found
