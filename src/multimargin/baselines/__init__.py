"""Baselines: recommenders that need no training loop, and that every loss and encoder should be seen beside."""

from multimargin.baselines.als import ALS
from multimargin.baselines.base import Baseline
from multimargin.baselines.chebycf import ChebyCF
from multimargin.baselines.ease import EASE
from multimargin.baselines.gfcf import GFCF
from multimargin.baselines.item_knn import ItemKNN
from multimargin.baselines.popularity import MostPopular
from multimargin.baselines.slim import SLIM

__all__ = ["ALS", "BASELINES", "EASE", "GFCF", "SLIM", "Baseline", "ChebyCF", "ItemKNN", "MostPopular"]

BASELINES: dict[str, type[Baseline]] = {
    "als": ALS,
    "cheby-cf": ChebyCF,
    "ease": EASE,
    "gf-cf": GFCF,
    "item-knn": ItemKNN,
    "most-popular": MostPopular,
    "slim": SLIM,
}
