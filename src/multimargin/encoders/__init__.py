"""Encoders: how users and items become vectors."""

from multimargin.encoders.base import Encoder
from multimargin.encoders.mf import MF
from multimargin.encoders.simplex import SimpleX
from multimargin.encoders.two_tower import TwoTower

__all__ = ["ENCODERS", "MF", "Encoder", "SimpleX", "TwoTower"]

ENCODERS: dict[str, type[Encoder]] = {"mf": MF, "simplex": SimpleX, "two-tower": TwoTower}
