"""LLPAUC: the lower-left part of the area under the curve, as a game between a few numbers."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from multimargin import checks
from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.base import Loss, ascend, at_least_float32, mean_over_negatives
from multimargin.ranges import Range, searched

_KAPPA = 5.0  # sharpness of the softplus that stands for the hinge of an average of the largest


class PartialAUCLoss(Loss):
    r"""Rewards the best positives for scoring above the hardest negatives: the area under the curve left of a share of
    false and below a share of true positives.  Also known as: LLPAUC, lower-left partial AUC.

    .. math::
        L = -s_+ - \frac{1}{\alpha B} \sum_b r\big(-(y_b - a)^2 + 2 (1 + \gamma) y_b - s_+\big)
        + s_- + \frac{1}{\beta B N} \sum_{b,n} r\big((y_{bn} - b)^2 + 2 (1 + \gamma) y_{bn} - s_-\big)
        - \gamma^2 + \theta_a (a + \gamma) + \theta_b (\gamma + 1 - b)

    :math:`y = \sigma(s)` of ``pos_scores`` and ``neg_scores``, :math:`r(x) = \log(1 + e^{\kappa x})/\kappa` with
    :math:`\kappa = 5`, :math:`\alpha` ``positive_share``, :math:`\beta` ``negative_share``. The numbers :math:`a, b,
    s_-, \theta` descend with the encoder, :math:`s_+, \gamma` climb; they are learnt, within bounds: a, b in [0, 1],
    :math:`s_+` in [-1, 4], :math:`s_-` in [0, 5], :math:`\gamma` in [-1, 1], :math:`\theta` 0 or more. Mean over
    negatives and the batch. Meant for unbounded scores (``similarity="dot"``).

    Use:
        top of the list: dot products, and noisy positives that may be given up.
    Args:
        positive_share: of the positives, the best, that count, in (0, 1].
        negative_share: of the negatives, the hardest, that count, in (0, 1]; the denser the data, the larger, or
            positives among them are all that count.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: a share is not in (0, 1].
    Relations:
        none: its value is that of a game, and may be negative.
    Source:
        Shi et al. 2024, arXiv 2403.00844; swt-user/LLPAUC @e2d9e22, ``recbole/model/loss.py`` and
        ``recbole/trainer/trainer.py`` (start, bounds, signs and the doubled rate of s+, s- and gamma).
    Differs:
        from the authors' code, which clips the numbers where they are used, so that one beyond its bound has no
        gradient any more: here the number itself is held. Their code turns the gradients of s+ and gamma round, as
        here; the port in Tiny-Snow/IR-Benchmark @1dd8de9 descends in everything and lets theta become negative.
    Example:
        >>> loss = PartialAUCLoss(0.5, 0.5)
        >>> print(f"{loss(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])).item():.6f}")
        1.017389
    """

    similarity = "dot"
    ranges = searched(positive_share=Range(0.1, 0.9), negative_share=Range(0.01, 0.9, log=True))

    def __init__(self, positive_share: float = 0.7, negative_share: float = 0.1):
        super().__init__()
        self.positive_share = checks.share("positive_share", checks.positive("positive_share", positive_share))
        self.negative_share = checks.share("negative_share", checks.positive("negative_share", negative_share))
        self.a = nn.Parameter(torch.tensor(1.0))
        self.b = nn.Parameter(torch.tensor(0.0))
        # Adam moves a number by its rate whatever the gradient: half of it, to be doubled, moves twice as fast
        self.half_s_pos = nn.Parameter(torch.tensor(0.25))
        self.half_s_neg = nn.Parameter(torch.tensor(0.25))
        self.half_gamma = nn.Parameter(torch.tensor(0.0))
        self.theta_a = nn.Parameter(torch.tensor(0.5))
        self.theta_b = nn.Parameter(torch.tensor(0.5))

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        self._stay_within_bounds()
        a, b, s_neg = self.a, self.b, 2 * self.half_s_neg
        s_pos, gamma = 2 * ascend(self.half_s_pos), 2 * ascend(self.half_gamma)
        y, z = at_least_float32(pos_scores).sigmoid(), at_least_float32(neg_scores).sigmoid()  # (B,), (B, N)
        best = softplus(-((y - a).square()) + 2 * (1 + gamma) * y - s_pos, sharpness=_KAPPA).mean()
        worst = softplus((z - b).square() + 2 * (1 + gamma) * z - s_neg, sharpness=_KAPPA)  # (B, N)
        worst = mean_over_negatives(worst, mask).mean()
        game = self.theta_a * (a + gamma) + self.theta_b * (gamma + 1 - b) - gamma.square()
        return s_neg - s_pos - best / self.positive_share + worst / self.negative_share + game

    @torch.no_grad()
    def _stay_within_bounds(self) -> None:
        self.a.clamp_(0, 1)
        self.b.clamp_(0, 1)
        self.half_s_pos.clamp_(-0.5, 2)
        self.half_s_neg.clamp_(0, 2.5)
        self.half_gamma.clamp_(-0.5, 0.5)
        self.theta_a.clamp_(min=0)
        self.theta_b.clamp_(min=0)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.positive_share:g}, {self.negative_share:g}"
