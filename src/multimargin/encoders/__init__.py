"""Encoders: how users and items become vectors."""

from multimargin.encoders.base import Encoder
from multimargin.encoders.mf import MF

__all__ = ["ENCODERS", "Encoder", "MF"]

ENCODERS: dict[str, type[Encoder]] = {"mf": MF}
