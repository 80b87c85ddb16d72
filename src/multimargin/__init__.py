"""Top-N recommendation from implicit feedback: encoders, losses and negative samplers, freely combined.

``import multimargin as mm`` loads nothing heavy: every public name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from multimargin.errors import (
    ArgumentError,
    CheckpointError,
    DataError,
    DeviceError,
    DivergedError,
    MultiMarginError,
    NoNegativesError,
    RecipeError,
    UnknownIdError,
)

if TYPE_CHECKING:
    from multimargin.data import (
        ByTime,
        Interactions,
        LeaveLastOut,
        RandomPerUser,
        Split,
        Vocabulary,
        k_core,
        read_parts,
    )
    from multimargin.data.synthetic import make_synthetic
    from multimargin.encoders import MF, Encoder
    from multimargin.evaluate import Evaluation, Evaluator, evaluate
    from multimargin.kernels.sampled_scores import sampled_scores
    from multimargin.losses import (
        BilateralRowLoss,
        BPRLoss,
        CosineContrastiveLoss,
        DebiasedContrastiveLoss,
        DecoupledSoftmaxLoss,
        GeneralizedBCELoss,
        HardContrastiveLoss,
        KPairBPRLoss,
        Loss,
        MeanSquaredErrorLoss,
        MultiMarginActiveLoss,
        MultiMarginLoss,
        MultiMarginPositivesLoss,
        PairwiseMarginLoss,
        PairwiseSoftmaxLoss,
        ReweightedSoftmaxLoss,
        SampledSoftmaxLoss,
        SigmoidCrossEntropyLoss,
        SimCELoss,
        Statistics,
    )
    from multimargin.negatives import (
        AdaptiveSoftmaxNegatives,
        AllNegatives,
        Blend,
        DynamicNegatives,
        InBatchNegatives,
        MixedNegatives,
        Negatives,
        NegativeSampler,
        PopularityNegatives,
        PreferenceNegatives,
        Scorer,
        SharedNegatives,
        UniformNegatives,
    )
    from multimargin.optim import LazyAdam
    from multimargin.recipes.fit import fit, fit_recipe
    from multimargin.recipes.recipe import Recipe
    from multimargin.recipes.run import load
    from multimargin.recommend import Recommender
    from multimargin.rng import CounterRng
    from multimargin.train import EarlyStopping, ReduceOnPlateau, Trainer

__version__ = "0.1.0"

__all__ = [
    "AdaptiveSoftmaxNegatives",
    "AllNegatives",
    "ArgumentError",
    "BPRLoss",
    "BilateralRowLoss",
    "Blend",
    "ByTime",
    "CheckpointError",
    "CosineContrastiveLoss",
    "CounterRng",
    "DataError",
    "DebiasedContrastiveLoss",
    "DecoupledSoftmaxLoss",
    "DeviceError",
    "DivergedError",
    "DynamicNegatives",
    "EarlyStopping",
    "Encoder",
    "Evaluation",
    "Evaluator",
    "GeneralizedBCELoss",
    "HardContrastiveLoss",
    "InBatchNegatives",
    "Interactions",
    "KPairBPRLoss",
    "LazyAdam",
    "LeaveLastOut",
    "Loss",
    "MF",
    "MeanSquaredErrorLoss",
    "MixedNegatives",
    "MultiMarginActiveLoss",
    "MultiMarginError",
    "MultiMarginLoss",
    "MultiMarginPositivesLoss",
    "NegativeSampler",
    "Negatives",
    "NoNegativesError",
    "PairwiseMarginLoss",
    "PairwiseSoftmaxLoss",
    "PopularityNegatives",
    "PreferenceNegatives",
    "RandomPerUser",
    "Recipe",
    "RecipeError",
    "Recommender",
    "ReduceOnPlateau",
    "ReweightedSoftmaxLoss",
    "SampledSoftmaxLoss",
    "Scorer",
    "SharedNegatives",
    "SigmoidCrossEntropyLoss",
    "SimCELoss",
    "Split",
    "Statistics",
    "Trainer",
    "UniformNegatives",
    "UnknownIdError",
    "Vocabulary",
    "evaluate",
    "fit",
    "fit_recipe",
    "k_core",
    "load",
    "make_synthetic",
    "read_parts",
    "sampled_scores",
]

_HOMES = {
    "data": ["ByTime", "Interactions", "LeaveLastOut", "RandomPerUser", "Split", "Vocabulary", "k_core", "read_parts"],
    "data.synthetic": ["make_synthetic"],
    "encoders": ["Encoder", "MF"],
    "evaluate": ["Evaluation", "Evaluator", "evaluate"],
    "kernels.sampled_scores": ["sampled_scores"],
    "losses": [
        "BPRLoss",
        "BilateralRowLoss",
        "CosineContrastiveLoss",
        "DebiasedContrastiveLoss",
        "DecoupledSoftmaxLoss",
        "GeneralizedBCELoss",
        "HardContrastiveLoss",
        "KPairBPRLoss",
        "Loss",
        "MeanSquaredErrorLoss",
        "MultiMarginActiveLoss",
        "MultiMarginLoss",
        "MultiMarginPositivesLoss",
        "PairwiseMarginLoss",
        "PairwiseSoftmaxLoss",
        "ReweightedSoftmaxLoss",
        "SampledSoftmaxLoss",
        "SigmoidCrossEntropyLoss",
        "SimCELoss",
        "Statistics",
    ],
    "negatives": [
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
    ],
    "optim": ["LazyAdam"],
    "recipes.fit": ["fit", "fit_recipe"],
    "recipes.recipe": ["Recipe"],
    "recipes.run": ["load"],
    "recommend": ["Recommender"],
    "rng": ["CounterRng"],
    "train": ["EarlyStopping", "ReduceOnPlateau", "Trainer"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'multimargin' has no attribute {name!r}")
    value = getattr(import_module(f"multimargin.{_HOME_OF[name]}"), name)
    # found at once the next time; where a package has the name (evaluate), it stays, and can be called
    return globals().setdefault(name, value)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
