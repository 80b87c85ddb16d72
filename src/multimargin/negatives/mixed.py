"""A share of each of several samplers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.negatives.base import Negatives, NegativeSampler, Scorer
from multimargin.negatives.popularity import PopularityNegatives
from multimargin.negatives.uniform import UniformNegatives
from multimargin.rng import CounterRng


class MixedNegatives(NegativeSampler):
    r"""Takes a share of each row's negatives from each of several samplers.
    Also known as: MNS, mixed negative sampling, hybrid negative sampling.

    .. math:: q(j \mid u) = \sum_k \frac{N_k}{N} \, q_k(j \mid u), \qquad N_k \approx \text{share}_k \, N

    Columns are dealt out: the first N_1 belong to the first sampler, and so on (whole, the largest remainders rounded
    up). One that draws nothing (``InBatchNegatives``) comes whole, beside the N. ``log_q`` costs a lookup in each law.

    Use:
        interactions alone: two laws or more that shall both be heard, such as in-batch and uniform.
    Args:
        samplers: two or more. None: uniform and popularity.
        shares: one for each, above 0; they count in proportion. None: equal ones.

    Returns:
        Negatives: ``sample`` gives ``index`` (B, N), or (N,) where all parts are shared; the parts' ``mask``; ``log_q``
        of the mixture, where every part can tell it.
    Raises:
        ArgumentError: fewer than two samplers, one that cannot be mixed (whole users, blends), or not one share each.
    Source:
        Yang et al. 2020, "Mixed negative sampling for learning two-tower neural networks in recommendations", WWW.
    Differs:
        from Yang et al.: shares are exact in each row, and q is the mixture's.
    Example:
        >>> from multimargin.data.vocabulary import Vocabulary
        >>> pairs = np.array([[0, 0], [0, 1], [1, 1], [2, 1]])
        >>> train = Interactions.from_pairs(pairs[:, 0], pairs[:, 1], Vocabulary.range(3), Vocabulary.range(3))
        >>> sampler = MixedNegatives((UniformNegatives(), PopularityNegatives(1.0)), (1, 3))
        >>> sampler.build(train)
        >>> sampler.probabilities(np.array([0])).round(4).tolist()
        [[0.2708, 0.6458, 0.0833]]
    """

    def __init__(self, samplers: Sequence[NegativeSampler] | None = None, shares: Sequence[float] | None = None):
        self.samplers = tuple(samplers) if samplers else (UniformNegatives(), PopularityNegatives())
        if len(self.samplers) < 2:
            checks.fail("samplers", "be two or more", len(self.samplers))
        if wrong := [type(each).__name__ for each in self.samplers if each.by_user or each.blends]:
            checks.fail("samplers", "neither ask for whole users nor blend", wrong)
        given = checks.numbers("shares", (1.0,) * len(self.samplers) if shares is None else shares)
        if len(given) != len(self.samplers):
            checks.fail("shares", f"be one for each of {len(self.samplers)} samplers", given)
        self.shares = tuple(checks.positive(f"shares[{k}]", share) for k, share in enumerate(given))
        self.needs = frozenset().union(*(each.needs for each in self.samplers))
        self.draws = any(each.draws for each in self.samplers)
        self.shared = all(each.shared for each in self.samplers)
        self.remembers = any(each.remembers for each in self.samplers)
        self.law_is_limit = any(each.law_is_limit for each in self.samplers)

    def build(self, train: Interactions) -> None:
        """Build all parts."""
        for each in self.samplers:
            each.build(train)

    def sample(
        self,
        users: NDArray[np.int64],
        positives: NDArray[np.int64],
        n: int,
        *,
        rng: CounterRng,
        scorer: Scorer | None = None,
    ) -> Negatives:
        """Draw ``n`` in all for each row; arguments as in ``NegativeSampler.sample``."""
        parts = []
        for k, (each, own) in enumerate(zip(self.samplers, self._columns(n), strict=True)):
            if own or not each.draws:
                own_rng = rng.branch(str(k))
                parts.append(each.sample(users, positives, own, rng=own_rng, **_extras(each, scorer)))
        shape = () if self.shared else (len(users),)
        index = np.concatenate([np.broadcast_to(p.index, (*shape, p.index.shape[-1])) for p in parts], axis=-1)
        whole = [np.ones((len(users), p.index.shape[-1]), bool) if p.mask is None else p.mask for p in parts]
        mask = None if all(part.mask is None for part in parts) else np.concatenate(whole, axis=1)
        return Negatives(index, self._log_q(users, index, n), mask)

    def probabilities(self, users: NDArray[np.int64], *, scorer: Scorer | None = None) -> NDArray[np.float64]:
        """Return the law, (B, I), of a column at random where the parts draw; ``scorer`` for those that need it."""
        laws = [each.probabilities(users, **_extras(each, scorer)) for each in self.samplers]
        return np.average(laws, axis=0, weights=self.shares).astype(np.float64)

    def chances(self, users: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Return the probability of each of ``index`` (B, N), where every part can tell it."""
        return self._mixture(users, index, self.shares)

    def start_epoch(
        self,
        epoch: int,
        *,
        rng: CounterRng,
        user_vectors: NDArray[np.float32] | None = None,
        item_vectors: NDArray[np.float32] | None = None,
    ) -> None:
        """Tell all parts."""
        vectors = {"user_vectors": user_vectors, "item_vectors": item_vectors}
        for k, each in enumerate(self.samplers):
            each.start_epoch(epoch, rng=rng.branch(str(k)), **vectors if "tables" in each.needs else {})

    def state(self) -> Mapping[str, NDArray[Any]]:
        """Return what the parts remember."""
        return {f"{k}.{name}": value for k, each in enumerate(self.samplers) for name, value in each.state().items()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Give it back to them."""
        for k, each in enumerate(self.samplers):
            each.load_state({name[len(f"{k}.") :]: x for name, x in state.items() if name.startswith(f"{k}.")})

    def _columns(self, n: int) -> list[int]:
        """Return how many of ``n`` columns each sampler gets; one that draws nothing gets none of them."""
        shares = np.array([share * each.draws for share, each in zip(self.shares, self.samplers, strict=True)])
        exact = n * shares / max(shares.sum(), 1e-300)
        whole = np.floor(exact + 1e-9).astype(int)
        whole[np.argsort(whole - exact, kind="stable")[: n * self.draws - whole.sum()]] += 1
        return [int(each) for each in whole]

    def _log_q(self, users: NDArray[np.int64], index: NDArray[np.int64], n: int) -> NDArray[np.float32] | None:
        columns = [own if each.draws else len(users) for own, each in zip(self._columns(n), self.samplers, strict=True)]
        mixture = self._mixture(users[:1] if self.shared else users, np.atleast_2d(index), columns)
        return None if mixture is None else np.log(mixture).astype(np.float32).reshape(index.shape)

    def _mixture(
        self, users: NDArray[np.int64], index: NDArray[np.int64], shares: Sequence[float]
    ) -> NDArray[np.float64] | None:
        result = np.zeros(index.shape)
        for share, each in zip(shares, self.samplers, strict=True):
            found = each.chances(users, index) if share else 0.0
            if found is None:
                return None
            result += share / sum(shares) * found
        return result


def _extras(sampler: NegativeSampler, scorer: Scorer | None) -> dict[str, Any]:
    return {"scorer": scorer} if "scores" in sampler.needs else {}
