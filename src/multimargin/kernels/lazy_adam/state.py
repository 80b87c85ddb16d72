"""What lazy Adam remembers of a table's rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from multimargin.kernels.lazy_adam.schedule import NEVER


@dataclass
class RowState:
    """Per-row state of one (R, D) table.

    Args:
        first: (R, D) first moment at step ``last``.
        second: (R, D) second moment at step ``last``.
        direction: (R, D) where an idle row drifts, per unit of drift (see ``schedule``).
        last: (R,) int32 step of the last gradient, NEVER before the first.
        applied: (R,) drift already applied since ``last``, in the table's dtype, at least float32.
    """

    first: Tensor
    second: Tensor
    direction: Tensor
    last: Tensor
    applied: Tensor

    @classmethod
    def zeros_like(cls, table: Tensor) -> "RowState":
        """Return the state of a table that has had no gradient."""
        rows = table.shape[0]
        return cls(
            first=torch.zeros_like(table),
            second=torch.zeros_like(table),
            direction=torch.zeros_like(table),
            last=torch.full((rows,), NEVER, dtype=torch.int32, device=table.device),
            applied=torch.zeros(rows, dtype=torch.promote_types(table.dtype, torch.float32), device=table.device),
        )
