"""One training epoch of MF with the Multi-Margin Loss: a pool shared by the batch against distinct negatives.

* ``distinct``: the whole-epoch kernel ``fused``, in which every row draws its own.
* ``shared``: the whole-epoch kernel for pools.
* ``shared steps``: pools through the general loop, any loss; each turn a part of an epoch, scaled.

All are measured as ``training_epoch.py`` measures ours.
"""

from argparse import Namespace

import training_epoch
from data import Data
from turns import Op, Work

from multimargin.negatives import SharedNegatives, UniformNegatives


def distinct(data: Data, arguments: Namespace) -> Work:
    return training_epoch.ours(data, arguments, "fused", UniformNegatives())


def shared(data: Data, arguments: Namespace) -> Work:
    engine = "steps" if arguments.worker == "shared steps" else "shared"
    return training_epoch.ours(data, arguments, engine, SharedNegatives())


OP = Op(
    implementations={"distinct": distinct, "shared": shared, "shared steps": shared},
    cases=training_epoch.OP.cases,
)
