"""Data in: files and frames become ``Interactions``; ids outside, indices inside."""

from multimargin.data.catalogue import fetch, locate
from multimargin.data.check import Finding, check_data
from multimargin.data.describe import describe
from multimargin.data.interactions import Interactions
from multimargin.data.readers import from_frame, read_any, read_interactions, read_parts
from multimargin.data.splits import (
    ByTime,
    GivenParts,
    LeaveLastOut,
    RandomPerUser,
    Split,
    SplitStrategy,
    carve_valid,
    k_core,
)
from multimargin.data.vocabulary import Vocabulary

__all__ = [
    "SPLITS",
    "ByTime",
    "Finding",
    "GivenParts",
    "Interactions",
    "LeaveLastOut",
    "RandomPerUser",
    "Split",
    "SplitStrategy",
    "Vocabulary",
    "carve_valid",
    "check_data",
    "describe",
    "fetch",
    "from_frame",
    "k_core",
    "locate",
    "read_any",
    "read_interactions",
    "read_parts",
]

SPLITS: dict[str, type[SplitStrategy]] = {
    "given": GivenParts,
    "random-per-user": RandomPerUser,
    "leave-last-out": LeaveLastOut,
    "by-time": ByTime,
}
