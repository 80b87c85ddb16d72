"""Data in: files and frames become ``Interactions``; ids outside, indices inside."""

from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary

__all__ = ["Interactions", "Vocabulary"]
