"""Generalised binary cross-entropy: a sigmoid loss that makes up for how few of the items were drawn."""

from jaxtyping import Bool, Float
from torch import Tensor

from multimargin import checks
from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.base import Loss, at_least_float32, mean_over_negatives
from multimargin.losses.facts import Logistic
from multimargin.ranges import Range, searched


class GeneralizedBCELoss(Loss):
    r"""Sigmoid cross-entropy whose positive counts less, so that sampled negatives do not make scores overconfident.
    Also known as: gBCE, the loss of gSASRec.

    .. math::
        L = \frac1B \sum_b \frac{1}{1 + w_-} \Big( -\beta \log \sigma(s_b)
        - \frac{w_-}{N} \sum_n \log(1 - \sigma(s_{bn})) \Big) \qquad \beta = 1 - t\,(1 - \alpha)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`t` ``calibration``, :math:`\alpha`
    ``sampling_rate``, :math:`w_-` ``neg_weight``. Mean over negatives, mean over the batch. Meant for unbounded scores
    (``similarity="dot"``).

    Use:
        single scores: sequences or large catalogues, few negatives, and scores that shall not be overconfident.
    Args:
        calibration: t in [0, 1]: 0 is plain cross-entropy, 1 makes sigmoids probabilities of the whole catalogue.
        sampling_rate: N / (I - 1), the share of the items that is drawn for a positive, in [0, 1]; 0 is its limit for a
            large catalogue.
        neg_weight: for how many negatives their mean stands, above 0; N gives the published mean over 1 + N. It moves
            all scores alike, and pushes false negatives harder: the denser the data, the smaller.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range, or nothing is left of the positive.
    Relations:
        with ``calibration == 0``, ``SigmoidCrossEntropyLoss(neg_weight=...)`` over ``1 + neg_weight``.
    Source:
        Petrov and Macdonald 2023, arXiv 2308.07192; asash/gSASRec-pytorch @7e35028 (t .75, N 256).
    Differs:
        from the code: beta multiplies the log-sigmoid, where the code transforms the logit in float64 and clamps it:
        the same number without the clamp. The paper's t (1 - 1/a) + 1/a times a is 1 - t (1 - a).
    Example:
        >>> import torch
        >>> loss = GeneralizedBCELoss(0.5, neg_weight=2.0)
        >>> print(f"{loss(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])).item():.6f}")
        0.546015
    """

    similarity = "dot"
    ranges = searched(calibration=Range(0.0, 0.99))

    def __init__(self, calibration: float = 0.75, *, sampling_rate: float = 0.0, neg_weight: float = 10.0):
        super().__init__()
        self.calibration = checks.share("calibration", calibration)
        self.sampling_rate = checks.share("sampling_rate", sampling_rate)
        self.neg_weight = checks.positive("neg_weight", neg_weight)
        self._pos_weight = 1 - self.calibration * (1 - self.sampling_rate)
        if self._pos_weight == 0:
            checks.fail(
                "calibration", "be below 1 where sampling_rate is 0", calibration, "Give sampling_rate=N/(I-1)."
            )

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        pull = softplus(-at_least_float32(pos_scores))  # (B,)
        push = mean_over_negatives(softplus(at_least_float32(neg_scores)), mask)  # (B,)
        return (self._pos_weight * pull + self.neg_weight * push).mean() / (1 + self.neg_weight)

    def terms(self) -> Logistic:
        """Return the loss as logistic terms."""
        total = 1 + self.neg_weight
        return Logistic(self._pos_weight / total, self.neg_weight / total, 1.0)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.calibration:g}, sampling_rate={self.sampling_rate:g}, neg_weight={self.neg_weight:g}"
