"""Losses: scores of positives and negatives in, one number out."""

from multimargin.losses.base import Hinges, Loss
from multimargin.losses.bpr import BPRLoss
from multimargin.losses.cosine_contrastive import CosineContrastiveLoss
from multimargin.losses.multi_margin import MultiMarginLoss

__all__ = ["BPRLoss", "CosineContrastiveLoss", "Hinges", "LOSSES", "Loss", "MultiMarginLoss"]

LOSSES: dict[str, type[Loss]] = {
    "multi-margin": MultiMarginLoss,
    "cosine-contrastive": CosineContrastiveLoss,
    "bpr": BPRLoss,
}
