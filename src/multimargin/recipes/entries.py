"""What losses, samplers and encoders say of themselves, for ``multimargin list`` and for the manual."""

import inspect
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

KINDS = ("losses", "negatives", "encoders")
_NEEDS = {
    "log_q": "log q",
    "users": "user ids",
    "positives": "item ids",
    "negatives": "item ids",
    "extra_positives": "item ids",
    "user_vectors": "vectors",
    "positive_vectors": "vectors",
    "negative_vectors": "vectors",
    "companion_scores": "scores of more items",
    "scores": "scores",
    "tables": "all vectors",
}  # what they are handed in training, in words
_GIVEN = {"item_vectors": "item vectors (optional)", "path": "a file of pairs (optional)"}  # arguments, in words
_PAIRS = np.array([[0, 0], [0, 1], [1, 1], [2, 5], [3, 7], [3, 11]])  # of 4 users and 16 items


@dataclass(frozen=True)
class Entry:
    """A member of an axis.

    Args:
        name: its name in recipes.
        entry: its class.
    """

    name: str
    entry: type

    @cached_property
    def sections(self) -> dict[str, str]:
        """The parts of its docstring by heading, indented as they are there; "" is what comes before all of them."""
        parts = re.split(r"^([A-Z][a-z]+):\n", inspect.getdoc(self.entry) or "", flags=re.M)
        bodies = [inspect.cleandoc(body) for body in parts[2::2]]
        return {"": parts[0].strip(), **dict(zip(parts[1::2], bodies, strict=True))}

    @property
    def summary(self) -> str:
        """Its first sentence."""
        return re.split(r"(?<=\.)\s", _line(self.sections[""].split("\n\n")[0]), maxsplit=1)[0].rstrip(".")

    @property
    def aliases(self) -> str:
        """What else it is known as; empty if not said."""
        return _line(self.sections[""].split("\n\n")[0]).partition("Also known as: ")[2].rstrip(".")

    @property
    def family(self) -> str:
        """The family it belongs to, which its section ``Use`` begins with; empty if there is no such section."""
        return _line(self.sections.get("Use", "")).partition(": ")[0]

    @property
    def use(self) -> str:
        """What a user has who wants it."""
        return _line(self.sections.get("Use", "")).partition(": ")[2].rstrip(".")

    @property
    def source(self) -> str:
        """Where it comes from, on one line."""
        return _line(self.sections.get("Source", "")).rstrip(".")

    @property
    def needs(self) -> list[str]:
        """What it is handed in training, reads of the training data, and may be given, with the defaults."""
        return list(dict.fromkeys([*_handed(self.entry()), *_read(self.entry()), *_arguments(self.entry)]))


def entries(kind: str) -> list[Entry]:
    """Return the members of an axis, one of ``KINDS``, as they are registered; baselines after the encoders."""
    from multimargin.baselines import BASELINES
    from multimargin.encoders import ENCODERS
    from multimargin.losses import LOSSES
    from multimargin.negatives import NEGATIVES

    registries: dict[str, dict[str, Any]] = {
        "losses": LOSSES,
        "negatives": NEGATIVES,
        "encoders": {**ENCODERS, **BASELINES},
    }
    return [Entry(name, entry) for name, entry in registries[kind].items()]


def _line(text: str) -> str:
    return " ".join(text.split()).replace("``", "")


def _handed(made: Any) -> list[str]:
    """Return what a loss or sampler with these arguments is handed."""
    from multimargin.losses.base import VECTORS, Loss

    needs = [words for name, words in _NEEDS.items() if name in getattr(made, "needs", ())]
    if not isinstance(made, Loss):
        return needs
    more = ["scores of more positives"] if made.extra_positives else []
    return [*([] if made.needs & VECTORS else ["scores"]), *more, *needs]  # from vectors, scores follow


def _read(made: Any) -> list[str]:
    """Return what is looked at of the training data: prepare or build is called with data that takes notes."""
    from multimargin.losses.base import Loss
    from multimargin.negatives.base import NegativeSampler

    read: set[str] = set()
    if isinstance(made, Loss):
        made.prepare(_watched_statistics(read), rng=np.random.default_rng(0))
    elif isinstance(made, NegativeSampler):
        made.build(_watched_interactions(read))
    return [words for words in ("counts", "training pairs") if words in read]


def _watched_statistics(read: set[str]) -> Any:
    from multimargin.losses.facts import Statistics

    plain = Statistics(4, 16, _PAIRS[:, 0], _PAIRS[:, 1])

    class Watched(Statistics):
        def __getattribute__(self, name: str) -> Any:
            if name.endswith(("_counts", "_index")):
                read.add("counts" if name.endswith("_counts") else "training pairs")
            return getattr(plain, name)

    return Watched(4, 16, _PAIRS[:, 0], _PAIRS[:, 1])


def _watched_interactions(read: set[str]) -> Any:
    from multimargin.data import Interactions, Vocabulary

    users, items = Vocabulary.range(4, kind="user"), Vocabulary.range(16, kind="item")
    plain = Interactions.from_pairs(_PAIRS[:, 0], _PAIRS[:, 1], users, items)

    class Watched(Interactions):
        def __getattribute__(self, name: str) -> Any:
            if name in ("item_counts", "user_index", "indices"):
                read.add("counts" if name == "item_counts" else "training pairs")
            return getattr(plain, name)

    return Watched(**{name: getattr(plain, name) for name in inspect.signature(Interactions).parameters})


def _arguments(entry: type) -> list[str]:
    return [_GIVEN[name] for name in inspect.signature(entry).parameters if name in _GIVEN]
