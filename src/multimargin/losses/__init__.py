"""Losses: scores of positives and negatives in, one number out."""

from multimargin.losses.adaptive_temperature import AdaptiveTemperatureLoss
from multimargin.losses.adversarial_softmax import AdversarialSoftmaxLoss
from multimargin.losses.alignment_uniformity import AlignmentUniformityLoss
from multimargin.losses.attentive_bpr import AttentiveBPRLoss
from multimargin.losses.base import Loss, ascend
from multimargin.losses.bilateral_groups import BilateralSoftmaxLoss, GroupedSoftmaxLoss
from multimargin.losses.bilateral_softmax import BilateralRowLoss, ReweightedSoftmaxLoss
from multimargin.losses.bpr import BPRLoss, KPairBPRLoss
from multimargin.losses.cosine_contrastive import CosineContrastiveLoss
from multimargin.losses.cross_batch_memory import CrossBatchMemoryLoss
from multimargin.losses.debiased_contrastive import DebiasedContrastiveLoss
from multimargin.losses.facts import Hinges, Logistic, Squares, Statistics, Terms
from multimargin.losses.generalized_bce import GeneralizedBCELoss
from multimargin.losses.global_contrastive import GlobalContrastiveLoss
from multimargin.losses.global_top_k import GlobalTopKLoss
from multimargin.losses.graph_constraint import GraphConstraintLoss
from multimargin.losses.hard_contrastive import HardContrastiveLoss
from multimargin.losses.mean_squared_error import MeanSquaredErrorLoss
from multimargin.losses.multi_margin import MultiMarginLoss
from multimargin.losses.multi_margin_active import MultiMarginActiveLoss
from multimargin.losses.multi_margin_positives import MultiMarginPositivesLoss
from multimargin.losses.multi_sample import MultiSampleContrastiveLoss
from multimargin.losses.optimal_negatives import OptimalNegativesLoss
from multimargin.losses.pairwise_margin import PairwiseMarginLoss
from multimargin.losses.pairwise_softmax import PairwiseSoftmaxLoss
from multimargin.losses.partial_auc import PartialAUCLoss
from multimargin.losses.sigmoid_cross_entropy import SigmoidCrossEntropyLoss
from multimargin.losses.simce import SimCELoss
from multimargin.losses.soft_contrastive import SoftContrastiveLoss
from multimargin.losses.softmax import DecoupledSoftmaxLoss, SampledSoftmaxLoss
from multimargin.losses.top_k_softmax import TopKSoftmaxLoss
from multimargin.losses.variational_bpr import VariationalBPRLoss
from multimargin.losses.variational_bpr_plug_in import VariationalBPRPlugInLoss
from multimargin.losses.warp import WARPLoss

__all__ = [
    "AdaptiveTemperatureLoss",
    "AdversarialSoftmaxLoss",
    "AlignmentUniformityLoss",
    "AttentiveBPRLoss",
    "BPRLoss",
    "BilateralRowLoss",
    "BilateralSoftmaxLoss",
    "CosineContrastiveLoss",
    "CrossBatchMemoryLoss",
    "DebiasedContrastiveLoss",
    "DecoupledSoftmaxLoss",
    "GeneralizedBCELoss",
    "GlobalContrastiveLoss",
    "GlobalTopKLoss",
    "GraphConstraintLoss",
    "GroupedSoftmaxLoss",
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
    "MultiSampleContrastiveLoss",
    "OptimalNegativesLoss",
    "PairwiseMarginLoss",
    "PairwiseSoftmaxLoss",
    "PartialAUCLoss",
    "ReweightedSoftmaxLoss",
    "SampledSoftmaxLoss",
    "SigmoidCrossEntropyLoss",
    "SimCELoss",
    "SoftContrastiveLoss",
    "Squares",
    "Statistics",
    "Terms",
    "TopKSoftmaxLoss",
    "VariationalBPRLoss",
    "VariationalBPRPlugInLoss",
    "WARPLoss",
    "ascend",
]

LOSSES: dict[str, type[Loss]] = {
    "multi-margin": MultiMarginLoss,
    "multi-margin-positives": MultiMarginPositivesLoss,
    "multi-margin-active": MultiMarginActiveLoss,
    "cosine-contrastive": CosineContrastiveLoss,
    "cross-batch-memory": CrossBatchMemoryLoss,
    "optimal-negatives": OptimalNegativesLoss,
    "bpr": BPRLoss,
    "k-pair-bpr": KPairBPRLoss,
    "pairwise-margin": PairwiseMarginLoss,
    "simce": SimCELoss,
    "warp": WARPLoss,
    "attentive-bpr": AttentiveBPRLoss,
    "variational-bpr": VariationalBPRLoss,
    "variational-bpr-plug-in": VariationalBPRPlugInLoss,
    "mean-squared-error": MeanSquaredErrorLoss,
    "sigmoid-cross-entropy": SigmoidCrossEntropyLoss,
    "generalized-bce": GeneralizedBCELoss,
    "graph-constraint": GraphConstraintLoss,
    "decoupled-softmax": DecoupledSoftmaxLoss,
    "sampled-softmax": SampledSoftmaxLoss,
    "reweighted-softmax": ReweightedSoftmaxLoss,
    "bilateral-row": BilateralRowLoss,
    "bilateral-softmax": BilateralSoftmaxLoss,
    "grouped-softmax": GroupedSoftmaxLoss,
    "pairwise-softmax": PairwiseSoftmaxLoss,
    "adaptive-temperature": AdaptiveTemperatureLoss,
    "adversarial-softmax": AdversarialSoftmaxLoss,
    "global-contrastive": GlobalContrastiveLoss,
    "multi-sample": MultiSampleContrastiveLoss,
    "debiased-contrastive": DebiasedContrastiveLoss,
    "hard-contrastive": HardContrastiveLoss,
    "soft-contrastive": SoftContrastiveLoss,
    "top-k-softmax": TopKSoftmaxLoss,
    "global-top-k": GlobalTopKLoss,
    "partial-auc": PartialAUCLoss,
    "alignment-uniformity": AlignmentUniformityLoss,
}
