"""Full ranking: every item that a user has not seen competes, exactly; several cut-offs in one pass.

Two protocols share this code. ``honest``: settings and stopping epoch were chosen on validation data. ``paper``: they
were chosen on the test file, as the official code of SimpleX, UltraGCN, LightGCN, BSL and MML does; the word then goes
with every number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.errors import DataError
from multimargin.evaluate.metrics import METRICS, all_metrics, hits_of, metric_name
from multimargin.recommend.recommender import Recommender
from multimargin.recommend.scorer import Scorer
from multimargin.recommend.table_scorer import TableScorer
from multimargin.recommend.top_k import SeenItems
from multimargin.rng import as_generator

Protocol = Literal["honest", "paper"]

_BLOCK = 16_384  # users whose lists are held at a time
_TOO_GOOD = 0.9


@dataclass(frozen=True)
class Evaluation:
    """What a full ranking found.

    Args:
        metrics: mean over users of each metric, ``{"Recall@20": 0.18, ...}``.
        n_users: users evaluated.
        n_skipped: users without held-out items, who count nowhere.
        protocol: "honest" or "paper".
        per_user: (n_users,) value of each metric for each user, in the order of ``users``.
        users: (n_users,) int64 user indices.
        notes: what a reader of the numbers should know, one sentence each.
    """

    metrics: dict[str, float]
    n_users: int
    n_skipped: int
    protocol: Protocol = "honest"
    per_user: Mapping[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)
    users: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64), repr=False)
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> float:
        """Return one metric, however its name is capitalised."""
        exact = metric_name(name)
        if exact not in self.metrics:
            checks.choice("metric", exact, tuple(self.metrics))
        return self.metrics[exact]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``evaluate --json`` prints: the metrics, "protocol", "users", "skipped" and any "notes"."""
        result: dict[str, Any] = dict(self.metrics)
        result |= {"protocol": self.protocol, "users": self.n_users, "skipped": self.n_skipped}
        if self.notes:
            result["notes"] = list(self.notes)
        return result

    def __str__(self) -> str:
        cuts = list(dict.fromkeys(name.partition("@")[2] for name in self.metrics))
        lines = [f"{'':<10}" + "".join(f"{'@' + cut:>10}" for cut in cuts)]
        for base in METRICS:
            values = [self.metrics.get(f"{base}@{cut}") for cut in cuts]
            if any(value is not None for value in values):
                lines.append(f"{base:<10}" + "".join(f"{'' if v is None else format(v, '.4f'):>10}" for v in values))
        skipped = f", {self.n_skipped:,} without held-out items skipped" if self.n_skipped else ""
        lines.append(f"{self.n_users:,} users{skipped}; protocol: {self.protocol}; full ranking, seen items excluded")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


class Evaluator:
    """Ranks all items for every user with held-out items and measures the lists; made once, called after each epoch.

    Args:
        relevant: held-out interactions, the R_u.
        seen: interactions to leave out of the lists: the training data, at test time usually validation data too.
        k: cut-offs, 1 or more each, any order.
        protocol: "honest" or "paper"; goes with the numbers.
        n_users: how many of the users with held-out items are measured, drawn at random, 1 or more; None: all. That
            they are a sample goes with the numbers as a note.
        rng: a seed, whose stream "evaluate" is used, or a generator; draws the users.
        threads: how many to use; None: ``get_threads()``. The numbers are the same.

    Raises:
        DataError: the two do not share their vocabularies, or no user has a held-out item.
    """

    def __init__(
        self,
        relevant: Interactions,
        *,
        seen: Interactions,
        k: Sequence[int] | int = (20, 50),
        protocol: Protocol = "honest",
        n_users: int | None = None,
        rng: int | np.random.Generator = 0,
        threads: int | None = None,
    ):
        if relevant.users != seen.users or relevant.items != seen.items:
            raise DataError("relevant and seen must share their vocabularies; read or split them together.")
        cuts = [k] if isinstance(k, int) else list(k)
        if not cuts:
            checks.fail("k", "hold at least one cut-off", k)
        self.k = tuple(sorted({checks.positive_int("k", cut) for cut in cuts}))
        checks.choice("protocol", protocol, ("honest", "paper"))
        self.protocol = protocol
        self.users = np.flatnonzero(relevant.user_counts)
        if not len(self.users):
            raise DataError("relevant must hold at least one interaction; none is left to evaluate on.")
        self.n_skipped = relevant.n_users - len(self.users)
        sampled = ""
        if n_users is not None and checks.positive_int("n_users", n_users) < len(self.users):
            sampled = f"measured on {n_users:,} of the {len(self.users):,} users with held-out items, drawn at random."
            self.users = np.sort(as_generator(rng, "evaluate").choice(self.users, n_users, replace=False))
            chosen = np.zeros(relevant.n_users, dtype=bool)
            chosen[self.users] = True
            relevant = relevant.select(np.repeat(chosen, relevant.user_counts))
        self.is_sample = bool(sampled)
        self.relevant, self.seen, self.threads = relevant, seen, threads
        n_hidden = int(relevant.are_in(seen).sum())
        self.notes: tuple[str, ...] = (sampled,) if sampled else ()
        if n_hidden:
            self.notes += (
                f"{n_hidden:,} held-out pairs were already seen: no list can hold them, yet they count in |R|.",
            )

    def __call__(self, user_table: Any, item_table: Any, similarity: Literal["cosine", "dot"]) -> Evaluation:
        """Rank and measure.

        Args:
            user_table: (U, D) user vectors, array or tensor.
            item_table: (I, D) item vectors.
            similarity: "cosine" or "dot".

        Raises:
            ArgumentError: the tables do not fit the data, or hold nan or inf.
        """
        return self.measure(TableScorer(user_table, item_table, similarity))

    def measure(self, scorer: Scorer) -> Evaluation:
        """Rank with any scorer and measure.

        Raises:
            ArgumentError: the scorer does not fit the data.
        """
        names = ("user_table", "item_table") if isinstance(scorer, TableScorer) else ("users", "items")
        sizes = (scorer.n_users, self.relevant.n_users), (scorer.n_items, self.relevant.n_items)
        for name, (found, expected) in zip(names, sizes, strict=True):
            if found != expected:
                checks.fail(name, f"have {expected} rows, as the data says", found)
        per_user = {f"{name}@{cut}": np.empty(len(self.users)) for cut in self.k for name in METRICS}
        depth = min(self.k[-1], self.relevant.n_items)
        for start in range(0, len(self.users), _BLOCK):
            users = self.users[start : start + _BLOCK]
            seen = SeenItems(self.seen.indptr, self.seen.indices, users)
            index, _ = scorer.rank_users(users, depth, seen=seen, threads=self.threads)
            counts = self.relevant.user_counts[users]
            # every user without held-out items left out, the rest are consecutive in the compressed rows
            first, last = self.relevant.indptr[users[0]], self.relevant.indptr[users[-1] + 1]
            relevant = (np.concatenate(([0], np.cumsum(counts))), self.relevant.indices[first:last])
            for name, values in all_metrics(hits_of(index, relevant), counts, self.k).items():
                per_user[name][start : start + len(users)] = values
        metrics = {name: float(values.mean()) for name, values in per_user.items()}
        return Evaluation(
            metrics=metrics,
            n_users=len(self.users),
            n_skipped=self.n_skipped,
            protocol=self.protocol,
            per_user=per_user,
            users=self.users,
            notes=(*self.notes, *_suspicions(metrics)),
        )


def evaluate(
    model: Recommender,
    test: Interactions,
    *,
    k: Sequence[int] | int = (20, 50),
    seen: Interactions | None = None,
    protocol: Protocol = "honest",
    n_users: int | None = None,
    rng: int | np.random.Generator = 0,
) -> Evaluation:
    """Rank all items for every user of ``test`` and measure the lists.

    Args:
        model: scorer, ids and seen items.
        test: held-out interactions. Read separately, with ids of its own, it is matched to the model's by id; pairs of
            users or items that were not in training are left out, counted in a note.
        k: cut-offs.
        seen: interactions to leave out of the lists; None: what the model has seen.
        protocol: "honest", or "paper" where the model was selected on ``test``.
        n_users: how many users are measured, drawn at random from those with held-out items; None: all.
        rng: draws them; see ``Evaluator``.

    Raises:
        DataError: nothing is left to evaluate on.
    """
    seen = model.seen if seen is None else _matched(seen, model.seen)[0]
    test, notes = _matched(test, model.seen)
    evaluator = Evaluator(test, seen=seen, k=k, protocol=protocol, n_users=n_users, rng=rng)
    result = evaluator.measure(model.scorer)
    return Evaluation(**{**vars(result), "notes": (*notes, *result.notes)}) if notes else result


def _matched(test: Interactions, known: Interactions) -> tuple[Interactions, tuple[str, ...]]:
    """Return ``test`` in the vocabularies of ``known``, and what was left out."""
    if test.users == known.users and test.items == known.items:
        return test, ()
    user_index = known.users.find(test.users.series)[test.user_index]
    item_index = known.items.find(test.items.series)[test.indices]
    keep = (user_index >= 0) & (item_index >= 0)
    matched = Interactions.from_pairs(user_index[keep], item_index[keep], known.users, known.items)
    n_left_out = int((~keep).sum())
    note = f"{n_left_out:,} held-out pairs name a user or an item that was not in training; they are left out."
    return matched, (note,) if n_left_out else ()


def _suspicions(metrics: Mapping[str, float]) -> tuple[str, ...]:
    """Return a note where a number looks too good to be true."""
    high = [name for name, value in metrics.items() if name.startswith("Recall@") and value > _TOO_GOOD]
    if not high:
        return ()
    return (f"{high[0]} above {_TOO_GOOD} is rare; check for held-out pairs that leak into training (data check).",)
