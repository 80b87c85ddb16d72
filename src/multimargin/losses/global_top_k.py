"""SogSL@K: SogCLR's remembered denominators with SL@K's weights."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, handed
from multimargin.losses.facts import Statistics
from multimargin.losses.global_contrastive import RememberedDenominators
from multimargin.losses.thresholds import TopThreshold
from multimargin.ranges import Range, searched


class GlobalTopKLoss(Loss):
    r"""SogCLR whose pull counts a positive the more the further it is above its user's threshold of the k best.
    Also known as: SogSL@K.

    .. math::
        L = \frac1B \sum_b \Big( -\omega_b \frac{s_b}{\tau} + \frac{\hat g_b}{g_b} \Big) \qquad
        \omega_b = \frac{\sigma((s_b - \beta_u)/\tau_w)}{\frac1B \sum_c \sigma((s_c - \beta_{u_c})/\tau_w)}

    Letters as in ``GlobalContrastiveLoss`` and ``TopKSoftmaxLoss``. Weights and denominators count as constants; the
    value is no measure of progress. Mean over the batch.

    Use:
        top of the list: the same with few negatives.
    Args:
        temperature: what scores are divided by, above 0.
        weight_temperature: of the weight, above 0.
        rate: weight of the new estimate of a denominator, in (0, 1].
        k: cut-off of the metric that is meant, 1 or more.
        refresh_every: epochs between estimates of the thresholds, 1 or more; published: 20 (MF), 5 (LightGCN).
        pool_size: items drawn for an estimate, ``k`` or more.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range, it was not prepared, or no users are handed over.
    Relations:
        ``GlobalContrastiveLoss`` where all weights are equal.
    Source:
        Tiny-Snow/IR-Benchmark @1dd8de9, ``optim_SogSLatK.py``, which names no paper for the combination.
    Differs:
        from the code as ``GlobalContrastiveLoss`` and ``TopKSoftmaxLoss`` do. The push is not weighed, as there.
    Example:
        >>> from multimargin.losses.facts import Statistics
        >>> loss = GlobalTopKLoss(0.5)
        >>> loss.prepare(Statistics(2, 9, np.array([0, 1]), np.array([3, 4])), rng=np.random.default_rng(0))
        >>> value = loss(torch.tensor([0.8, 0.2]), torch.tensor([[0.3], [-0.2]]), users=torch.tensor([0, 1]))
        >>> print(f"{value.item():.6f}")
        -0.067820
    """

    needs = frozenset({"users", "tables"})
    breaks = frozenset({"monotone", "gradient"})
    ranges = searched(temperature=Range(0.03, 1.0, log=True), weight_temperature=Range(0.1, 3.0, log=True))

    def __init__(
        self,
        temperature: float = 0.1,
        *,
        weight_temperature: float = 1.0,
        rate: float = 0.9,
        k: int = 20,
        refresh_every: int = 20,
        pool_size: int = 1000,
    ):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.weight_temperature = checks.positive("weight_temperature", weight_temperature)
        self.denominators = RememberedDenominators(rate)
        self.threshold = TopThreshold(k, refresh_every, pool_size)

    def prepare(self, statistics: Statistics, *, rng: np.random.Generator) -> None:
        """Take each user's items and make room for their denominators."""
        self.denominators.prepare(statistics.n_users)
        self.threshold.prepare(statistics, rng=rng)

    def start_epoch(
        self,
        epoch: int,
        *,
        user_vectors: Float[Tensor, "U D"] | None = None,
        item_vectors: Float[Tensor, "I D"] | None = None,
    ) -> None:
        """Estimate the thresholds anew if it is time."""
        self.threshold.refresh(epoch, handed("user_vectors", user_vectors), handed("item_vectors", item_vectors))

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
        users: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        if not self.threshold.ready:
            self.unprepared()
        users = handed("users", users)
        pos = at_least_float32(pos_scores)  # (B,)
        above = pos.detach() - self.threshold.values[users].to(pos.dtype)  # (B,)
        weight = torch.nn.functional.logsigmoid(above / self.weight_temperature)
        weight = weight.softmax(0) * len(pos)  # (B,) over its mean, also where every one of them is 0 in its dtype
        neg, sharpness = at_least_float32(neg_scores), 1 / self.temperature
        push: Tensor = self.denominators(neg, users, mask, sharpness=sharpness)  # (B,)
        return (push - weight * pos / self.temperature).mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        t = self.threshold
        return (
            f"{self.temperature:g}, weight_temperature={self.weight_temperature:g}, rate={self.denominators.rate:g}, "
            f"k={t.k}, refresh_every={t.refresh_every}, pool_size={t.pool_size}"
        )
