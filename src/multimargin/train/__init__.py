"""Training: the one loop, when it stops, and what it keeps."""

from multimargin.train.loop import Trainer, Training
from multimargin.train.stopping import EarlyStopping, ReduceOnPlateau

__all__ = ["EarlyStopping", "ReduceOnPlateau", "Trainer", "Training"]
