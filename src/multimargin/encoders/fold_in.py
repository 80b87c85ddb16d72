"""The contract of what gives a user who was not in training a vector, in NumPy, so that a saved model can hold it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FoldIn(ABC):
    """Base of all ways to make a vector of a history. Fields are arrays and what JSON can hold."""

    kind: ClassVar[str]
    """Its name in a saved model."""

    @abstractmethod
    def vector(self, items: NDArray[np.integer[Any]], vectors: Array) -> Array:
        """Return (D,) for a user who touched ``items``.

        Args:
            items: (n,) one or more, in the order in which they were touched; a repeated item is there that often.
            vectors: (n, D) the vectors they are scored with, of any length where scores are cosines.
        """

    def arrays(self) -> dict[str, Array]:
        """Return what a saved model must hold."""
        return {name: each for name, each in vars(self).items() if isinstance(each, np.ndarray)}

    def settings(self) -> dict[str, Any]:
        """Return what else it must, as JSON."""
        return {name: each for name, each in vars(self).items() if not isinstance(each, np.ndarray)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Any], settings: Mapping[str, Any]) -> "FoldIn":
        """Build from ``arrays()`` and ``settings()``."""
        return cls(**{each.name: (arrays if each.name in arrays else settings)[each.name] for each in fields(cls)})
