"""Encoders: how users and items become vectors."""

from multimargin.encoders.base import Encoder
from multimargin.encoders.lightgcn import LightGCN
from multimargin.encoders.mf import MF
from multimargin.encoders.sasrec import SASRec
from multimargin.encoders.simgcl import SimGCL
from multimargin.encoders.simplex import SimpleX
from multimargin.encoders.two_tower import TwoTower
from multimargin.encoders.xsimgcl import XSimGCL

__all__ = ["ENCODERS", "MF", "Encoder", "LightGCN", "SASRec", "SimGCL", "SimpleX", "TwoTower", "XSimGCL"]

ENCODERS: dict[str, type[Encoder]] = {
    "mf": MF,
    "simplex": SimpleX,
    "two-tower": TwoTower,
    "lightgcn": LightGCN,
    "simgcl": SimGCL,
    "xsimgcl": XSimGCL,
    "sasrec": SASRec,
}
