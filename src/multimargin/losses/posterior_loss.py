"""What the forms of Variational BPR share: arguments, further positives, and posteriors of a row."""

from abc import abstractmethod

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, handed
from multimargin.losses.facts import Statistics
from multimargin.losses.posteriors import Posteriors
from multimargin.ranges import Range, searched


class PosteriorLoss(Loss):
    """Base of the losses that weigh positives and negatives by posteriors, which count as constants."""

    breaks = frozenset({"monotone", "gradient"})
    ranges = searched(
        pos_scale=Range(0.5, 50.0, log=True), neg_scale=Range(0.5, 50.0, log=True), neg_hardness=Range(0.0, 2.0)
    )

    def __init__(
        self,
        pos_scale: float = 8.0,
        neg_scale: float = 8.0,
        *,
        n_positives: int = 2,
        pos_rarity: float = 0.2,
        pos_hardness: float = 0.8,
        neg_popularity: float = 0.0,
        neg_hardness: float = 1.0,
    ):
        super().__init__()
        self.extra_positives = checks.positive_int("n_positives", n_positives) - 1
        self.posteriors = Posteriors(
            pos_scale, neg_scale, pos_rarity=pos_rarity, pos_hardness=pos_hardness, neg_popularity=neg_popularity,
            neg_hardness=neg_hardness,
        )  # fmt: skip
        self.needs = self.posteriors.needs | ({"extra_positives"} if pos_rarity and self.extra_positives else set())

    def prepare(self, statistics: Statistics, *, rng: np.random.Generator) -> None:  # noqa: ARG002 - nothing is drawn
        """Take how popular each item is."""
        self.posteriors.prepare(statistics)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
        positives: Int[Tensor, " B"] | None = None,
        negatives: Int[Tensor, "B N"] | None = None,
        extra_positives: Int[Tensor, "B K"] | None = None,
        extra_positive_scores: Float[Tensor, "B K"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        if not self.posteriors.ready:
            self.unprepared()
        pos, neg = at_least_float32(pos_scores)[:, None], at_least_float32(neg_scores)  # (B, 1), (B, N)
        if self.extra_positives:
            more = at_least_float32(handed("extra_positive_scores", extra_positive_scores))
            pos = torch.cat((pos, more), dim=1)  # (B, M)
        a = self.posteriors.of_positives(pos, (positives, extra_positives))  # (B, M)
        b = self.posteriors.of_negatives(neg, negatives, mask)  # (B, N)
        return self.of_rows(pos, neg, a, b, mask).mean()

    @abstractmethod
    def of_rows(
        self,
        pos: Float[Tensor, "B M"],
        neg: Float[Tensor, "B N"],
        a: Float[Tensor, "B M"],
        b: Float[Tensor, "B N"],
        mask: Bool[Tensor, "B N"] | None,
    ) -> Float[Tensor, " B"]:
        """Return what each row costs, given the scores and the posteriors of its positives and negatives."""
