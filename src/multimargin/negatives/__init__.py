"""Negative samplers: users in, items they are not to be given out."""

from multimargin.negatives.base import Negatives, NegativeSampler
from multimargin.negatives.uniform import UniformNegatives

__all__ = ["NEGATIVES", "NegativeSampler", "Negatives", "UniformNegatives"]

NEGATIVES: dict[str, type[NegativeSampler]] = {"uniform": UniformNegatives}
