"""Scores of each user's positive and sampled negatives, straight from the tables.

Contract: ``sampled_scores(...)`` equals ``reference.sampled_scores(...)``, values and gradients, without allocating
(B, N, D), and its backward touches only pairs whose upstream gradient is not exactly 0. One set of negatives for all
rows is a product of matrices: ``kernels.shared_scores``.
"""

from functools import cache
from importlib.util import find_spec
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from multimargin import checks

__all__ = ["sampled_scores"]

_IMPLEMENTATIONS = ("auto", "cpu", "gpu", "reference")


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
    impl: Literal["auto", "cpu", "gpu", "reference"] = "auto",
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
        sparse: give tables that are parameters sparse gradients, which hold touched rows only (for ``LazyAdam``); else,
            and where a table was computed, dense ones.
        impl: "cpu" (numba, float32), "gpu" (Triton; float32, bfloat16 or float16), "reference" (PyTorch, any device and
            dtype), or "auto": "cpu" or "gpu" where one of them can run, "reference" inside ``torch.compile``.

    Returns:
        (B,) and (B, N) scores, dtype of the tables.

    Raises:
        ArgumentError: an unknown ``impl``, "cpu" or "gpu" with tables that it cannot take, or, in the compiled forms,
            indices out of range or shapes that do not fit.
    """
    checks.choice("impl", impl, _IMPLEMENTATIONS)
    checks.choice("similarity", similarity, ("cosine", "dot"))
    chosen = _choose(impl, user_table, item_table)
    arguments = user_table, item_table, users, positives, negatives
    if chosen == "reference":
        from multimargin.kernels.sampled_scores import reference

        return reference.sampled_scores(*arguments, similarity=similarity, query_scale=query_scale)
    _check_indices(*arguments, query_scale)
    if chosen == "gpu":
        from multimargin.kernels.sampled_scores import gpu

        return gpu.sampled_scores(*arguments, similarity=similarity, query_scale=query_scale, sparse=sparse)
    if negatives.dim() == 1:
        from multimargin.kernels.shared_scores import cpu as shared

        return shared.shared_scores(*arguments, similarity=similarity, query_scale=query_scale, sparse=sparse)
    from multimargin.kernels.sampled_scores import cpu

    return cpu.sampled_scores(*arguments, similarity=similarity, query_scale=query_scale, sparse=sparse)


def _choose(asked: str, user_table: Tensor, item_table: Tensor) -> str:
    """Return the implementation to run, "cpu", "gpu" or "reference"."""
    tables = user_table, item_table
    on_cpu = all(t.device.type == "cpu" and t.dtype.itemsize == 4 and t.is_contiguous() for t in tables)
    if asked == "auto":
        if torch.compiler.is_compiling():  # which cannot look into compiled code, nor at indices
            return "reference"
        # on a CPU it would be Triton's interpreter, for which nobody wants to wait
        on_gpu = user_table.device.type == "cuda" and _why_not_gpu(*tables) is None
        return "cpu" if on_cpu else "gpu" if on_gpu else "reference"
    found = [(str(t.device), str(t.dtype)) for t in tables]
    if asked == "cpu" and not on_cpu:
        checks.fail("tables", "be contiguous float32 on the CPU for impl='cpu'", found, "Use impl='auto'.")
    if asked == "gpu":
        rule = _why_not_gpu(*tables)
        if rule is not None:
            checks.fail("tables", rule, found, "Use impl='auto'.")
    return asked


def _why_not_gpu(user_table: Tensor, item_table: Tensor) -> str | None:
    """Return the rule that keeps the Triton form from these tables, None if it can take them."""
    if not _has_triton():
        return "be read by Triton, which is not installed, for impl='gpu'"
    if user_table.dtype != item_table.dtype or user_table.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return "both be float32, bfloat16 or float16 for impl='gpu'"
    if user_table.device != item_table.device:
        return "be on one device for impl='gpu'"
    if user_table.device.type != "cuda":
        from multimargin.kernels.sampled_scores import gpu

        if not gpu.INTERPRETED:
            return "be on a GPU for impl='gpu'"
    return None


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


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
    indices = (
        ("users", users, len(user_table)),
        ("positives", positives, len(item_table)),
        ("negatives", negatives, len(item_table)),
    )
    for name, index in (*((name, index) for name, index, _ in indices), ("query_scale", query_scale)):
        if index is not None and index.device != user_table.device:
            checks.fail(
                name, f"be on {user_table.device}, as the tables", str(index.device), "Move it with .to(device)."
            )
    for name, index, _ in indices:
        shapes = {(batch,)} if name != "negatives" else {(batch, negatives.shape[-1]), (negatives.shape[-1],)}
        if tuple(index.shape) not in shapes:
            checks.fail(name, f"be of shape {' or '.join(map(str, sorted(shapes)))}", tuple(index.shape))
    given = [each for each in indices if each[1].numel()]
    bounds = [torch.stack(each[1].aminmax()) for each in given]
    # one transfer for all of them, where they are on a GPU
    for (name, _, rows), (lowest, highest) in zip(given, torch.stack(bounds).tolist() if bounds else [], strict=True):
        if lowest < 0 or highest >= rows:
            checks.fail(name, f"be indices in [0, {rows})", (lowest, highest))
    if query_scale is not None and tuple(query_scale.shape) != (batch, dim):
        checks.fail("query_scale", f"be of shape {(batch, dim)}", tuple(query_scale.shape))
