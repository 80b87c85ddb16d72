"""Scores of each user's positive and of one set of negatives that the whole batch shares, as matrix products.

Contract: ``cpu.shared_scores(...)`` equals ``reference.shared_scores(...)``, values and gradients, without allocating
(B, N, D) or anything as long as a table. ``kernels.sampled_scores`` comes here where its negatives are (N,).
"""
