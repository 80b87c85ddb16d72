"""Losses: scores of positives and negatives in, one number out."""

from multimargin.losses.base import Loss, ascend
from multimargin.losses.bilateral_softmax import BilateralRowLoss, ReweightedSoftmaxLoss
from multimargin.losses.bpr import BPRLoss, KPairBPRLoss
from multimargin.losses.cosine_contrastive import CosineContrastiveLoss
from multimargin.losses.debiased_contrastive import DebiasedContrastiveLoss
from multimargin.losses.facts import Hinges, Logistic, Squares, Statistics, Terms
from multimargin.losses.generalized_bce import GeneralizedBCELoss
from multimargin.losses.hard_contrastive import HardContrastiveLoss
from multimargin.losses.mean_squared_error import MeanSquaredErrorLoss
from multimargin.losses.multi_margin import MultiMarginLoss
from multimargin.losses.multi_margin_active import MultiMarginActiveLoss
from multimargin.losses.multi_margin_positives import MultiMarginPositivesLoss
from multimargin.losses.pairwise_margin import PairwiseMarginLoss
from multimargin.losses.pairwise_softmax import PairwiseSoftmaxLoss
from multimargin.losses.sigmoid_cross_entropy import SigmoidCrossEntropyLoss
from multimargin.losses.simce import SimCELoss
from multimargin.losses.softmax import DecoupledSoftmaxLoss, SampledSoftmaxLoss

__all__ = [
    "BPRLoss",
    "BilateralRowLoss",
    "CosineContrastiveLoss",
    "DebiasedContrastiveLoss",
    "DecoupledSoftmaxLoss",
    "GeneralizedBCELoss",
    "HardContrastiveLoss",
    "Hinges",
    "KPairBPRLoss",
    "LOSSES",
    "Logistic",
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
    "Squares",
    "Statistics",
    "Terms",
    "ascend",
]

LOSSES: dict[str, type[Loss]] = {
    "multi-margin": MultiMarginLoss,
    "multi-margin-positives": MultiMarginPositivesLoss,
    "multi-margin-active": MultiMarginActiveLoss,
    "cosine-contrastive": CosineContrastiveLoss,
    "bpr": BPRLoss,
    "k-pair-bpr": KPairBPRLoss,
    "pairwise-margin": PairwiseMarginLoss,
    "simce": SimCELoss,
    "mean-squared-error": MeanSquaredErrorLoss,
    "sigmoid-cross-entropy": SigmoidCrossEntropyLoss,
    "generalized-bce": GeneralizedBCELoss,
    "sampled-softmax": SampledSoftmaxLoss,
    "decoupled-softmax": DecoupledSoftmaxLoss,
    "reweighted-softmax": ReweightedSoftmaxLoss,
    "bilateral-row": BilateralRowLoss,
    "pairwise-softmax": PairwiseSoftmaxLoss,
    "debiased-contrastive": DebiasedContrastiveLoss,
    "hard-contrastive": HardContrastiveLoss,
}
