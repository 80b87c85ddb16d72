"""What false-negative filters share: they wrap a sampler, whatever it looks at, and mask what it draws."""

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Negatives, NegativeSampler, Scorer
from multimargin.negatives.candidates import required
from multimargin.negatives.uniform import UniformNegatives
from multimargin.rng import CounterRng


class FilteredNegatives(NegativeSampler):
    """Base of filters: draws from ``law``, looks at the scores, and leaves some out by ``mask``.

    Args:
        law: any sampler of items, in-batch ones and those that look at the model or remember too. None: uniform,
            without the user's seen items.
    """

    def __init__(self, law: NegativeSampler | None):
        self.law = UniformNegatives(exclude_seen=True) if law is None else law
        if self.law.blends:
            checks.fail("law", "draw items", type(law).__name__, "Mixes have no index to be left out by.")
        if self.law.by_user:
            checks.fail("law", "not hold the whole catalogue", type(law).__name__, "Use SharedNegatives, N large.")
        self.needs = self.law.needs | {"scores"}
        self.draws, self.shared = self.law.draws, self.law.shared
        self.remembers, self.law_is_limit = self.law.remembers, self.law.law_is_limit

    @abstractmethod
    def keep(
        self, users: NDArray[np.int64], positives: NDArray[np.int64], scores: NDArray[np.float32], scorer: Scorer
    ) -> NDArray[np.bool_]:
        """Return which of the draws count, (B, N), by their ``scores`` (B, N); what is masked already scores -inf."""

    def build(self, train: Interactions) -> None:
        """Build the law."""
        self._n_items = train.n_items
        self.law.build(train)

    def sample(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],
        n: int,
        *,
        rng: CounterRng,
        scorer: Scorer | None = None,
    ) -> Negatives:
        """Draw ``n`` items for each row, of which some do not count; arguments as in ``NegativeSampler.sample``."""
        score = required(scorer)
        asked = {"scorer": score} if "scores" in self.law.needs else {}
        drawn = self.law.sample(users, positives, n, rng=rng, **asked)
        scores = score(users, drawn.index)  # (B, N)
        if drawn.mask is None:
            return replace(drawn, mask=self.keep(users, positives, scores, score))
        scores = np.where(drawn.mask, scores, np.float32(-np.inf))
        return replace(drawn, mask=drawn.mask & self.keep(users, positives, scores, score))

    def law_probabilities(self, users: NDArray[np.int64], **known: Any) -> NDArray[np.float64]:
        """Return the law before it is filtered, (B, I), given what of ``known`` it asks for."""
        asked = inspect.signature(self.law.probabilities).parameters
        return self.law.probabilities(users, **{name: each for name, each in known.items() if name in asked})

    def start_epoch(
        self,
        epoch: int,
        *,
        rng: CounterRng,
        user_vectors: NDArray[np.float32] | None = None,
        item_vectors: NDArray[np.float32] | None = None,
    ) -> None:
        """Tell the law."""
        vectors = {"user_vectors": user_vectors, "item_vectors": item_vectors} if "tables" in self.law.needs else {}
        self.law.start_epoch(epoch, rng=rng, **vectors)

    def state(self) -> Mapping[str, NDArray[Any]]:
        """Return what the law remembers."""
        return self.law.state()

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Give it back to the law."""
        self.law.load_state(state)
