"""A stretch of training against the whole catalogue in one compiled call: whole users in, tables moved, loss out.

Contract: ``GroupedEpoch.run`` equals, to rounding, a loop of one step per batch of users: the gradient of
``reference.batch_loss``, ``clip_grad_norm_`` and ``LazyAdam``, for tables with a loss that is a sum over pairs. It is
the same for any number of threads, bit by bit.
"""

from multimargin.kernels.grouped_epoch.launch import GroupedEpoch

__all__ = ["GroupedEpoch"]
