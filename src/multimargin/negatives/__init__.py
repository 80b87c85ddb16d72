"""Negative samplers: users in, items they are not to be given out."""

from multimargin.negatives.all import AllNegatives
from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.negatives.shared import SharedNegatives
from multimargin.negatives.uniform import UniformNegatives

__all__ = ["NEGATIVES", "AllNegatives", "NegativeSampler", "Negatives", "SharedNegatives", "UniformNegatives"]

NEGATIVES: dict[str, type[NegativeSampler]] = {
    "uniform": UniformNegatives,
    "shared": SharedNegatives,
    "all": AllNegatives,
}
