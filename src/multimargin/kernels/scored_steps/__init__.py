"""Steps of training through scores: the loss is anybody's or one of a few that kernels know, all else is compiled.

Contract: ``ScoredSteps.score`` followed by ``move`` equals, to rounding, ``sampled_scores`` and its backward,
``clip_grad_norm_`` and ``LazyAdam`` on two tables, for gradients of the scores that come from outside; ``run`` equals
as many steps with a loss of ``rows``. It is the same for any number of threads, bit by bit.
"""

from multimargin.kernels.scored_steps.launch import ScoredSteps

__all__ = ["ScoredSteps"]
