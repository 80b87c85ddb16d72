"""Everything that training on a stretch of an epoch needs, and what does it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multimargin.data.interactions import Interactions
from multimargin.encoders.base import Encoder
from multimargin.kernels.terms import Terms as KernelTerms
from multimargin.kernels.terms import of_hinges, of_logistic, of_squares
from multimargin.losses.base import Loss
from multimargin.losses.facts import Hinges, Squares, Terms
from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.optim import LazyAdam
from multimargin.rng import CounterRng
from multimargin.train import needs
from multimargin.train.batches import Batches


@dataclass(frozen=True)
class Setting:
    """Everything an engine needs; built by the loop.

    Args:
        train: the interactions.
        encoder: built, on its device.
        loss: on the same device.
        negatives: built.
        optimizer: of the encoder's (and the loss's) parameters.
        n_negatives: N.
        batch_size: B.
        clip_norm: bound on the gradient's global norm, or None.
        dropout: of the normalised user vector.
        negatives_key: stream of the negatives.
        dropout_key: stream of the dropout.
        positives_key: stream of the extra positives.
        encoder_key: stream of what is random inside the encoder.
    """

    train: Interactions
    encoder: Encoder
    loss: Loss
    negatives: NegativeSampler
    optimizer: LazyAdam
    n_negatives: int
    batch_size: int
    clip_norm: float | None
    dropout: float
    negatives_key: int
    dropout_key: int
    positives_key: int
    encoder_key: int

    @cached_property
    def batches(self) -> Batches:
        """How an epoch is ordered and cut."""
        by_user = self.negatives.by_user or self.encoder.by_user
        return Batches(self.train, self.batch_size, by_user=by_user)

    @cached_property
    def device(self) -> torch.device:
        """Where the parameters are."""
        found: torch.device = self.optimizer.options["params"][0].device
        return found

    def draw(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],
        place: int,
        interactions: NDArray[np.int64] | None = None,
    ) -> Negatives:
        """Return the negatives of a batch at ``place`` in their stream; none for a loss without any."""
        if not self.loss.uses_negatives:
            return Negatives(np.empty((len(users), 0), dtype=np.int64))
        extras: dict[str, Any] = {}
        batch = None if interactions is None else (users, interactions)
        if "scores" in self.negatives.needs:
            extras["scorer"] = needs.scorer(self.encoder, self.optimizer, self.device, batch)
        rng = CounterRng(self.negatives_key, place)
        return self.negatives.sample(users, positives, self.n_negatives, rng=rng, **extras)

    def others(self, users: NDArray[np.int64], positives: Tensor, place: int) -> Tensor:
        """Return (B, K) items to be scored besides: further positives of the user, then what the loss names."""
        found = []
        if self.loss.extra_positives:
            rng = CounterRng(self.positives_key, place)
            drawn = needs.draw_positives(self.train, users, self.loss.extra_positives, rng=rng)
            found.append(torch.from_numpy(drawn).to(self.device))
        if "companion_scores" in self.loss.needs:
            found.append(self.loss.companions(positives))
        if len(found) == 1:
            return found[0]  # as it is: one row that is expanded says that all rows are alike
        return torch.cat([positives.new_empty((len(users), 0)), *found], dim=1)


class Engine(ABC):
    """Trains on stretches of an epoch as ``Batches`` orders it."""

    @abstractmethod
    def run(self, order: NDArray[np.int64], start: int, stop: int, *, place: int) -> float:
        """Train on interactions ``order[start:stop]``, whole batches, and return the sum of their losses.

        ``place`` is where ``order[0]`` stands in the streams of negatives and dropout.
        """


def first_rows(users: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for each row of a batch, the first of its user, whose rows stand together: they share one dropout."""
    new = np.append(True, users[1:] != users[:-1])
    first: NDArray[np.int64] = np.flatnonzero(new)[np.cumsum(new) - 1]
    return first


def for_kernels(terms: Terms) -> KernelTerms:
    """Return a loss as kernels know it."""
    if isinstance(terms, Hinges):
        return of_hinges(terms.positive_slope, terms.margins, terms.slopes)
    if isinstance(terms, Squares):
        return of_squares(terms.pos_weight, terms.neg_weight)
    return of_logistic(terms.pos_weight, terms.neg_weight, terms.temperature)
