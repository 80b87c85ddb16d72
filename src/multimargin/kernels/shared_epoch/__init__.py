"""A stretch of training against pools that batches share, in one compiled call: shuffled pairs in, tables moved.

Contract: ``SharedEpoch.run`` equals, to rounding, the step-by-step path with the same places in the same streams
(``SharedNegatives``, ``shared_scores``, the loss, ``clip_grad_norm_``, ``LazyAdam``), for tables with a loss that is a
sum over pairs. It is the same for any number of threads, bit by bit.
"""

from multimargin.kernels.shared_epoch.launch import SharedEpoch

__all__ = ["SharedEpoch"]
