"""Negative samplers: users in, items they are not to be given out."""

from multimargin.negatives.adaptive_softmax import AdaptiveSoftmaxNegatives
from multimargin.negatives.all import AllNegatives
from multimargin.negatives.base import Blend, Negatives, NegativeSampler, Scorer
from multimargin.negatives.dynamic import DynamicNegatives
from multimargin.negatives.in_batch import InBatchNegatives
from multimargin.negatives.mixed import MixedNegatives
from multimargin.negatives.popularity import PopularityNegatives
from multimargin.negatives.preference import PreferenceNegatives
from multimargin.negatives.shared import SharedNegatives
from multimargin.negatives.uniform import UniformNegatives

__all__ = [
    "NEGATIVES",
    "AdaptiveSoftmaxNegatives",
    "AllNegatives",
    "Blend",
    "DynamicNegatives",
    "InBatchNegatives",
    "MixedNegatives",
    "NegativeSampler",
    "Negatives",
    "PopularityNegatives",
    "PreferenceNegatives",
    "Scorer",
    "SharedNegatives",
    "UniformNegatives",
]

NEGATIVES: dict[str, type[NegativeSampler]] = {
    "uniform": UniformNegatives,
    "shared": SharedNegatives,
    "all": AllNegatives,
    "popularity": PopularityNegatives,
    "in-batch": InBatchNegatives,
    "mixed": MixedNegatives,
    "dynamic": DynamicNegatives,
    "preference": PreferenceNegatives,
    "adaptive-softmax": AdaptiveSoftmaxNegatives,
}
