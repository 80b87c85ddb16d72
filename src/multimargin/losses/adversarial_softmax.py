"""AdvInfoNCE: a softmax loss whose negatives are weighed by an adversary."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from multimargin import checks
from multimargin.kernels.sampled_scores import sampled_scores
from multimargin.kernels.smooth_maxima import softplus
from multimargin.losses.base import Loss, ascend, at_least_float32, handed
from multimargin.losses.facts import Statistics
from multimargin.losses.reductions import log_mean_exp
from multimargin.ranges import Range, searched

_AHEAD = 3  # epochs by which the first turn of the adversary comes early, as published


class AdversarialSoftmaxLoss(Loss):
    r"""Softmax loss whose negatives get the weights that cost most, as far as an adversary of two embedding tables can
    find them.  Also known as: AdvInfoNCE.

    .. math::
        L = \frac1B \sum_b \log\Big( 1 + w_- \sum_n p_{bn}\, e^{(s_{bn} - s_b)/\tau} \Big) \qquad
        p_{bn} = \frac{e^{a_u^\top a_{n}}}{\sum_m e^{a_u^\top a_{m}}}

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`\tau` ``temperature``, :math:`w_-`
    ``neg_weight``; the adversary's vectors :math:`a` climb in a few epochs (2, 7, 12, ... where every fifth is one,
    counted from 0) and rest in the others. Weights over a row sum to 1; mean over the batch.

    Use:
        softmax: test data unlike the training data, and sampled negatives of unknown worth.
    Args:
        temperature: what scores are divided by, above 0.
        neg_weight: for how many negatives their weighted mean stands, above 0; the published 64 times N.
        adversary_dim: A, width of the adversary's tables, 1 or more.
        adversary_rate: its learning rate over the encoder's, above 0; published: 5e-5 over 5e-4.
        adversary_every: epochs from one of its epochs to the next, 1 or more.
        adversary_rounds: so many epochs it climbs in all, 0 or more.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range, it was not prepared, or users or negatives are not handed over.
    Relations:
        ``SampledSoftmaxLoss`` while the adversary's vectors are 0, and nearly so before it first climbs.
    Source:
        Zhang et al. 2023, arXiv 2310.18700; LehengTHU/AdvInfoNCE @abaa0f3 (interval 5, 7 rounds, k_neg 64, N 128).
    Differs:
        from the code, where the adversary climbs in a pass over the data of its own, just before such an epoch and with
        the encoder at rest: here in the epoch itself, while the encoder learns, at half the cost. L2 is the optimiser's
        ``weight_decay``; of the code's terms one is a power of the norm, and the adversary's is the encoder's instead.
    Example:
        >>> from multimargin.losses.facts import Statistics
        >>> loss = AdversarialSoftmaxLoss(0.5, neg_weight=2.0)
        >>> loss.prepare(Statistics(2, 9, np.array([0, 1]), np.array([3, 4])), rng=np.random.default_rng(0))
        >>> scores, drawn = (torch.tensor([0.8]), torch.tensor([[0.3, -0.2]])), torch.tensor([[5, 6]])
        >>> print(f"{loss(*scores, users=torch.tensor([1]), negatives=drawn).item():.3f}")
        0.417
    """

    needs = frozenset({"users", "negatives"})
    user_adversary: nn.Parameter
    item_adversary: nn.Parameter
    ranges = searched(temperature=Range(0.03, 1.0, log=True), adversary_rate=Range(0.01, 1.0, log=True))

    def __init__(
        self,
        temperature: float = 0.1,
        *,
        neg_weight: float = 6400.0,
        adversary_dim: int = 64,
        adversary_rate: float = 0.1,
        adversary_every: int = 5,
        adversary_rounds: int = 7,
    ):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.neg_weight = checks.positive("neg_weight", neg_weight)
        self.adversary_dim = checks.positive_int("adversary_dim", adversary_dim)
        self.adversary_rate = checks.positive("adversary_rate", adversary_rate)
        self.adversary_every = checks.positive_int("adversary_every", adversary_every)
        self.adversary_rounds = checks.at_least("adversary_rounds", adversary_rounds, 0)
        self._ready = self._climbs = False

    def prepare(self, statistics: Statistics, *, rng: np.random.Generator) -> None:
        """Make the adversary's tables, by Xavier's normal law, as published."""
        # Adam moves an entry by the learning rate whatever its gradient: divided by the rate here, multiplied below
        for name, rows in (("user_adversary", statistics.n_users), ("item_adversary", statistics.n_items)):
            values = rng.standard_normal((rows, self.adversary_dim), dtype=np.float32)
            spread = math.sqrt(2 / (rows + self.adversary_dim)) / self.adversary_rate
            setattr(self, name, nn.Parameter(torch.from_numpy(values * np.float32(spread))))
        self._ready = True

    def start_epoch(
        self,
        epoch: int,
        *,
        user_vectors: Float[Tensor, "U D"] | None = None,  # noqa: ARG002 - not needed
        item_vectors: Float[Tensor, "I D"] | None = None,  # noqa: ARG002
    ) -> None:
        """Say whether the adversary climbs in this epoch."""
        turn, rest = divmod(epoch + _AHEAD, self.adversary_every)
        turn -= _AHEAD // self.adversary_every  # what would be before the second epoch is none
        self._climbs = rest == 0 and 1 <= turn <= self.adversary_rounds

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
        users: Int[Tensor, " B"] | None = None,
        negatives: Int[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        if not self._ready:
            self.unprepared()
        users, negatives = handed("users", users), handed("negatives", negatives)
        with torch.set_grad_enabled(self._climbs and torch.is_grad_enabled()):
            weight = ascend(self._weights(users, negatives))
        behind = (at_least_float32(neg_scores) - at_least_float32(pos_scores)[:, None]) / self.temperature  # (B, N)
        logits = weight.to(behind.dtype)
        share = log_mean_exp(logits + behind, mask, empty=-math.inf) - log_mean_exp(logits, mask, empty=0.0)  # (B,)
        return softplus(share + math.log(self.neg_weight)).mean()

    def _weights(self, users: Int[Tensor, " B"], negatives: Int[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        tables, nothing = (self.user_adversary, self.item_adversary), torch.zeros_like(users)
        return self.adversary_rate**2 * sampled_scores(*tables, users, nothing, negatives, similarity="dot")[1]

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return (
            f"{self.temperature:g}, neg_weight={self.neg_weight:g}, adversary_dim={self.adversary_dim}, "
            f"adversary_rate={self.adversary_rate:g}, adversary_every={self.adversary_every}, "
            f"adversary_rounds={self.adversary_rounds}"
        )
