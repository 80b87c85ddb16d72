"""Negative samplers: users in, items they are not to be given out."""

from multimargin.negatives.adaptive_hardness import AdaptiveHardnessNegatives
from multimargin.negatives.adaptive_softmax import AdaptiveSoftmaxNegatives
from multimargin.negatives.all import AllNegatives
from multimargin.negatives.base import Blend, Negatives, NegativeSampler, Scorer
from multimargin.negatives.clustered import ClusteredNegatives
from multimargin.negatives.dynamic import DynamicNegatives
from multimargin.negatives.external import ExternalNegatives
from multimargin.negatives.high_variance import HighVarianceNegatives
from multimargin.negatives.in_batch import InBatchNegatives
from multimargin.negatives.interpolated import InterpolatedNegatives
from multimargin.negatives.margin_filtered import MarginFilteredNegatives
from multimargin.negatives.memory import MemoryNegatives
from multimargin.negatives.mixed import MixedNegatives
from multimargin.negatives.popularity import PopularityNegatives
from multimargin.negatives.positive_mix import PositiveMixNegatives
from multimargin.negatives.preference import PreferenceNegatives
from multimargin.negatives.rank_filtered import RankFilteredNegatives
from multimargin.negatives.semantic import SemanticNegatives
from multimargin.negatives.shared import SharedNegatives
from multimargin.negatives.uniform import UniformNegatives

__all__ = [
    "NEGATIVES",
    "AdaptiveHardnessNegatives",
    "AdaptiveSoftmaxNegatives",
    "AllNegatives",
    "Blend",
    "ClusteredNegatives",
    "DynamicNegatives",
    "ExternalNegatives",
    "HighVarianceNegatives",
    "InBatchNegatives",
    "InterpolatedNegatives",
    "MarginFilteredNegatives",
    "MemoryNegatives",
    "MixedNegatives",
    "NegativeSampler",
    "Negatives",
    "PopularityNegatives",
    "PositiveMixNegatives",
    "PreferenceNegatives",
    "RankFilteredNegatives",
    "Scorer",
    "SemanticNegatives",
    "SharedNegatives",
    "UniformNegatives",
]

NEGATIVES: dict[str, type[NegativeSampler]] = {
    "uniform": UniformNegatives,
    "shared": SharedNegatives,
    "all": AllNegatives,
    "popularity": PopularityNegatives,
    "in-batch": InBatchNegatives,
    "memory": MemoryNegatives,
    "mixed": MixedNegatives,
    "dynamic": DynamicNegatives,
    "preference": PreferenceNegatives,
    "adaptive-softmax": AdaptiveSoftmaxNegatives,
    "adaptive-hardness": AdaptiveHardnessNegatives,
    "high-variance": HighVarianceNegatives,
    "positive-mix": PositiveMixNegatives,
    "interpolated": InterpolatedNegatives,
    "clustered": ClusteredNegatives,
    "semantic": SemanticNegatives,
    "external": ExternalNegatives,
    "margin-filtered": MarginFilteredNegatives,
    "rank-filtered": RankFilteredNegatives,
}
