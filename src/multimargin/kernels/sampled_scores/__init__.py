"""Scores of each user's positive and sampled negatives, straight from the tables.

Contract: ``sampled_scores(...)`` equals ``reference.sampled_scores(...)``, values and gradients, without allocating
(B, N, D), and its backward touches only pairs whose upstream gradient is not exactly 0. One set of negatives for all
rows is a product of matrices: ``kernels.shared_scores``.
"""

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from multimargin import checks

__all__ = ["sampled_scores"]

_IMPLEMENTATIONS = ("auto", "cpu", "reference")


def sampled_scores(
    user_table: Float[Tensor, "U D"],
    item_table: Float[Tensor, "I D"],
    users: Int[Tensor, " B"],
    positives: Int[Tensor, " B"],
    negatives: Int[Tensor, "B N"] | Int[Tensor, " N"],
    *,
    similarity: Literal["cosine", "dot"] = "cosine",
    query_scale: Float[Tensor, "B D"] | None = None,
    sparse: bool = False,
    impl: Literal["auto", "cpu", "reference"] = "auto",
) -> tuple[Float[Tensor, " B"], Float[Tensor, "B N"]]:
    """Return the scores of B positives and of their sampled negatives.

    Args:
        user_table: (U, D) user vectors, not normalised.
        item_table: (I, D) item vectors, not normalised.
        users: (B,) int64 user indices in [0, U), repeats allowed.
        positives: (B,) int64 item indices in [0, I).
        negatives: (B, N) int64 item indices, each row its own; or (N,), one set shared by the batch.
        similarity: "cosine" (vectors divided by their norm, at least 1e-12) or "dot".
        query_scale: (B, D) multiplied onto the (normalised) user vectors, for dropout after normalisation; no gradient.
        sparse: give the tables sparse gradients, which hold touched rows only (for ``LazyAdam``); else dense ones.
        impl: "cpu" (numba, float32), "reference" (PyTorch, any device and dtype), or "auto": "cpu" where it can run.

    Returns:
        (B,) and (B, N) scores, dtype of the tables.

    Raises:
        ArgumentError: an unknown ``impl``, "cpu" with tables that are not contiguous float32 on the CPU, or, in the
            compiled form, indices out of range or shapes that do not fit.
    """
    checks.choice("impl", impl, _IMPLEMENTATIONS)
    checks.choice("similarity", similarity, ("cosine", "dot"))
    compiled = all(
        t.device.type == "cpu" and t.dtype.itemsize == 4 and t.is_contiguous() for t in (user_table, item_table)
    )
    if impl == "cpu" and not compiled:
        found = [(str(t.device), str(t.dtype)) for t in (user_table, item_table)]
        checks.fail("tables", "be contiguous float32 on the CPU for impl='cpu'", found, "Use impl='auto'.")
    if impl == "reference" or not compiled:
        from multimargin.kernels.sampled_scores import reference

        return reference.sampled_scores(
            user_table, item_table, users, positives, negatives, similarity=similarity, query_scale=query_scale
        )
    _check_indices(user_table, item_table, users, positives, negatives, query_scale)
    if negatives.dim() == 1:
        from multimargin.kernels.shared_scores import cpu as shared

        return shared.shared_scores(
            user_table, item_table, users, positives, negatives,
            similarity=similarity, query_scale=query_scale, sparse=sparse,
        )  # fmt: skip
    from multimargin.kernels.sampled_scores import cpu

    return cpu.sampled_scores(
        user_table,
        item_table,
        users,
        positives,
        negatives,
        similarity=similarity,
        query_scale=query_scale,
        sparse=sparse,
    )


def _check_indices(
    user_table: Tensor,
    item_table: Tensor,
    users: Tensor,
    positives: Tensor,
    negatives: Tensor,
    query_scale: Tensor | None,
) -> None:
    """Compiled code reads and writes wherever an index points, so none may point outside."""
    batch, dim = len(users), user_table.shape[1]
    if item_table.shape[1] != dim:
        checks.fail("item_table", f"be (I, {dim}), as wide as user_table", tuple(item_table.shape))
    for name, index, rows in (
        ("users", users, len(user_table)),
        ("positives", positives, len(item_table)),
        ("negatives", negatives, len(item_table)),
    ):
        shapes = {(batch,)} if name != "negatives" else {(batch, negatives.shape[-1]), (negatives.shape[-1],)}
        if tuple(index.shape) not in shapes:
            checks.fail(name, f"be of shape {' or '.join(map(str, sorted(shapes)))}", tuple(index.shape))
        if index.numel():
            lowest, highest = (int(bound) for bound in index.aminmax())
            if lowest < 0 or highest >= rows:
                checks.fail(name, f"be indices in [0, {rows})", (lowest, highest))
    if query_scale is not None and tuple(query_scale.shape) != (batch, dim):
        checks.fail("query_scale", f"be of shape {(batch, dim)}", tuple(query_scale.shape))
