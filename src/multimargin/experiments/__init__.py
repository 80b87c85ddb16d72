"""Experiments: many runs, resumably, and what they say together."""
