"""A stretch of training in one compiled call: shuffled pairs in, tables moved, summed loss out.

Contract: ``FusedEpoch.run`` equals, to rounding, the step-by-step path with the same places in the same streams
(``UniformNegatives``, ``sampled_scores``, the margin loss, ``clip_grad_norm_``, ``LazyAdam``), for tables with a loss
that is a sum over pairs. It is the same for any number of threads, bit by bit.
"""

from multimargin.kernels.fused_epoch.launch import FusedEpoch

__all__ = ["FusedEpoch"]
