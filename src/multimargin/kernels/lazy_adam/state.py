"""What lazy Adam remembers of a table's rows."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from multimargin.kernels.lazy_adam.schedule import NEVER


@dataclass
class RowState:
    """Per-row state of one (R, D) table.

    Args:
        moments: (R, 3, D) ``first``, ``second`` and ``direction`` side by side, since they are used together.
        last: (R,) int32 step of the last gradient, NEVER before the first.
        applied: (R,) drift already applied since ``last``, in the table's dtype, at least float32.
    """

    moments: Tensor
    last: Tensor
    applied: Tensor

    @property
    def first(self) -> Tensor:
        """(R, D) first moment at step ``last``."""
        return self.moments[:, 0]

    @property
    def second(self) -> Tensor:
        """(R, D) second moment at step ``last``."""
        return self.moments[:, 1]

    @property
    def direction(self) -> Tensor:
        """(R, D) where an idle row drifts, per unit of drift (see ``schedule``)."""
        return self.moments[:, 2]

    @classmethod
    def zeros_like(cls, table: Tensor) -> "RowState":
        """Return the state of a table that has had no gradient."""
        rows, dim = table.shape
        if table.device.type == "cpu" and table.dtype == torch.float32:
            moments = torch.from_numpy(np.zeros((rows, 3, dim), np.float32))  # NumPy asks for huge pages
        else:
            moments = torch.zeros((rows, 3, dim), dtype=table.dtype, device=table.device)
        return cls(
            moments=moments,
            last=torch.full((rows,), NEVER, dtype=torch.int32, device=table.device),
            applied=torch.zeros(rows, dtype=torch.promote_types(table.dtype, torch.float32), device=table.device),
        )
