"""Negative samplers: users in, items they are not to be given out."""

from multimargin.negatives.all import AllNegatives
from multimargin.negatives.base import Blend, Negatives, NegativeSampler, Scorer
from multimargin.negatives.shared import SharedNegatives
from multimargin.negatives.uniform import UniformNegatives

__all__ = [
    "NEGATIVES",
    "AllNegatives",
    "Blend",
    "NegativeSampler",
    "Negatives",
    "Scorer",
    "SharedNegatives",
    "UniformNegatives",
]

NEGATIVES: dict[str, type[NegativeSampler]] = {
    "uniform": UniformNegatives,
    "shared": SharedNegatives,
    "all": AllNegatives,
}
