"""Adam on the rows a step touches, with the result of dense Adam.

Contract: after any sequence of ``schedule.advance`` + ``update(rows, gradients)``, ``catch_up(rows)`` makes those rows
equal to what ``torch.optim.Adam`` has after as many steps with zero gradient everywhere else (see ``schedule``).
"""

from types import ModuleType

from torch import Tensor

from multimargin.kernels.lazy_adam import reference
from multimargin.kernels.lazy_adam.schedule import NEVER, Schedule
from multimargin.kernels.lazy_adam.state import RowState

__all__ = ["NEVER", "RowState", "Schedule", "implementation"]


def implementation(table: Tensor) -> ModuleType:
    """Return the module whose ``catch_up``, ``update`` and ``settle`` serve this table."""
    if table.device.type == "cpu" and table.is_contiguous() and table.dtype.itemsize == 4:
        from multimargin.kernels.lazy_adam import cpu

        return cpu
    return reference
