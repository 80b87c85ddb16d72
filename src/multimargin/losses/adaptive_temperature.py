"""Adap-tau: a softmax loss that sets its temperatures from the data, one for all positives and one for each user."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, handed
from multimargin.losses.facts import Statistics
from multimargin.losses.reductions import log_mean_exp
from multimargin.ranges import Range, searched

_ROWS = 1 << 16  # pairs whose vectors are gathered at a time
_LEAST = 1e-9 - 1 / math.e  # where Lambert's function begins, but for rounding


class AdaptiveTemperatureLoss(Loss):
    r"""Softmax loss with temperatures from the data: sharper for all as scores spread, softer for users who fit badly.
    Also known as: Adap-tau, adaptive temperature.

    .. math::
        L = \frac1B \sum_b \Big( -\kappa_0 s_b + \log \frac1N \sum_n e^{\kappa_{u} s_{bn}} \Big) \qquad
        \kappa_0 = \frac{\log\frac{|U'|\,I}{2 |D'|}}{\operatorname{mean}_{D'} s_{ui} - \operatorname{mean}_{U' \times I}
        s_{uj}}
        \qquad \kappa_u = \kappa_0\, e^{-W(\max((l_u - \bar l)/c,\, -1/e))}

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``; :math:`\kappa` are inverse temperatures, W is
    Lambert's function, :math:`U'` the users above the 20 % quantile of activity, :math:`D'` their pairs, :math:`l_u`
    last epoch's mean of user u's losses at temperature 1, :math:`\bar l` their mean or quantile over users, c
    ``spread``. Both are set when an epoch begins and have no gradient. Mean over negatives inside the logarithm, mean
    over the batch. For cosines.

    Use:
        softmax: cosines, many negatives, and no time to tune a temperature.
    Args:
        spread: c, how strongly temperatures follow a user's loss, above 0; published: 1.0 (Yelp2018), 0.25 (Gowalla).
        quantile: of the users' losses, in [0, 1), to compare each with; None: their mean. Published: None (Yelp2018),
            0.9 (Gowalla).
        warmup_epochs: so many epochs the difference of means is taken to be 0.7, 0 or more.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: an argument is out of its range, it was not prepared, or no users are handed over.
    Relations:
        ``DecoupledSoftmaxLoss(1 / inverse temperature)`` while all temperatures are equal: in the first epoch.
    Source:
        Chen et al. 2023, arXiv 2302.04775; junkangwu/Adap_tau @9328cf6, ``main.py``, ``modules/MF_tau.py``.
    Differs:
        from the code by the constant log N; W is computed, not looked up in a table of steps of 1e-4; users without a
        loss in the last epoch are left out of the mean; the difference of means is held at 0.01 or more.
    Example:
        >>> from multimargin.losses.facts import Statistics
        >>> loss = AdaptiveTemperatureLoss(warmup_epochs=1)
        >>> loss.prepare(Statistics(2, 30, np.array([0, 0, 1]), np.arange(3)), rng=np.random.default_rng(0))
        >>> loss.start_epoch(0, user_vectors=torch.eye(2), item_vectors=torch.ones(30, 2))
        >>> value = loss(torch.tensor([0.8]), torch.tensor([[0.3, -0.2]]), users=torch.tensor([1]))
        >>> print(f"{value.item():.6f}")
        -1.919583
    """

    needs = frozenset({"users", "tables"})
    pairs: Tensor
    active: Tensor
    losses: Tensor
    inverse: Tensor
    base: Tensor
    ranges = searched(spread=Range(0.05, 4.0, log=True))

    def __init__(self, spread: float = 1.0, *, quantile: float | None = None, warmup_epochs: int = 10):
        super().__init__()
        self.spread = checks.positive("spread", spread)
        self.quantile = None if quantile is None else checks.fraction("quantile", quantile)
        self.warmup_epochs = checks.at_least("warmup_epochs", warmup_epochs, 0)
        self._log_odds: float | None = None

    def prepare(self, statistics: Statistics, *, rng: np.random.Generator) -> None:  # noqa: ARG002 - nothing is drawn
        """Take who is active, their pairs, and how rare a pair is."""
        counts = statistics.user_counts
        active = counts > np.quantile(counts, 0.2)
        active = active if active.any() else counts > 0  # all alike
        chosen = active[statistics.user_index]
        pairs = np.stack([statistics.user_index[chosen], statistics.item_index[chosen]]).astype(np.int64)  # (2, n)
        odds = active.sum() * statistics.n_items / (2 * chosen.sum())
        if odds <= 1:
            checks.fail("statistics", "leave more than half of all pairs untouched", f"1 / {2 * odds:.2f} touched")
        self._log_odds = math.log(odds)
        self.register_buffer("pairs", torch.from_numpy(pairs), persistent=False)
        self.register_buffer("active", torch.from_numpy(np.flatnonzero(active)), persistent=False)
        self.register_buffer("losses", torch.zeros(2, statistics.n_users))  # sum and number since the epoch began
        self.register_buffer("inverse", torch.full((statistics.n_users,), self._log_odds / 0.7), persistent=False)
        self.register_buffer("base", torch.tensor(self._log_odds / 0.7), persistent=False)

    @torch.no_grad()
    def start_epoch(
        self,
        epoch: int,
        *,
        user_vectors: Float[Tensor, "U D"] | None = None,
        item_vectors: Float[Tensor, "I D"] | None = None,
    ) -> None:
        """Set the temperatures from all vectors and from last epoch's losses."""
        from scipy.special import lambertw

        if self._log_odds is None:
            self.unprepared()
        apart = 0.7
        if epoch >= self.warmup_epochs:
            users, items = handed("user_vectors", user_vectors), handed("item_vectors", item_vectors)
            scores = [(users[u] * items[i]).sum() for u, i in torch.split(self.pairs, _ROWS, 1)]
            close = torch.stack(scores).sum() / self.pairs.shape[1]
            apart = max(float(close - (users[self.active].mean(0) * items.mean(0)).sum()), 0.01)
        self.base.fill_(self._log_odds / apart)
        total, number = self.losses
        seen = number > 0
        if not seen.any():
            self.inverse.copy_(self.base.expand_as(self.inverse))
            return
        mean = total / number.clamp(min=1)  # (U,)
        middle = mean[seen].mean() if self.quantile is None else mean[seen].quantile(self.quantile)
        excess = torch.where(seen, (mean - middle) / self.spread, 0.0).double().clamp(_LEAST, 1000)
        softer = torch.from_numpy(lambertw(excess.cpu().numpy()).real).to(mean)  # (U,)
        self.inverse.copy_(self.base * (-softer).exp())
        self.losses.zero_()

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
        if self._log_odds is None:
            self.unprepared()
        users, pos, neg = handed("users", users), at_least_float32(pos_scores), at_least_float32(neg_scores)
        with torch.no_grad():
            plain = log_mean_exp(neg, mask, empty=0.0) - pos  # (B,)
            self.losses.index_add_(1, users, torch.stack((plain, torch.ones_like(plain))).to(self.losses.dtype))
        push = log_mean_exp(neg * self.inverse[users][:, None].to(neg.dtype), mask, empty=0.0)  # (B,)
        return (push - pos * self.base.to(pos.dtype)).mean()

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.spread:g}, quantile={self.quantile}, warmup_epochs={self.warmup_epochs}"
