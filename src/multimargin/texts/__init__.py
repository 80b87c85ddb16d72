"""Texts in, vectors out: titles of items become what semantic losses and samplers take."""

from multimargin.texts.embed import embed_items
from multimargin.texts.encoders import find_encoder

__all__ = ["embed_items", "find_encoder"]
