"""Encoders: how users and items become vectors."""

from multimargin.encoders.base import Encoder
from multimargin.encoders.mf import MF
from multimargin.encoders.simplex import SimpleX

__all__ = ["ENCODERS", "MF", "Encoder", "SimpleX"]

ENCODERS: dict[str, type[Encoder]] = {"mf": MF, "simplex": SimpleX}
