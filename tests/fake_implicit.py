"""A stand-in for the package ``implicit``: alternating least squares by a plain loop, with the same arguments."""

import sys
import types

import numpy as np


class AlternatingLeastSquares:
    """Solves for users, then items, exactly; the last step is the users', so that their vectors fit the items'."""

    def __init__(self, *, factors, regularization, alpha, iterations, use_gpu, num_threads, random_state):
        assert use_gpu is False
        assert num_threads >= 1
        self.factors, self.regularization, self.alpha = factors, regularization, alpha
        self.iterations, self.seed = iterations, random_state

    def fit(self, rows, show_progress):
        assert show_progress is False
        table = rows.toarray().astype(np.float64)
        assert set(np.unique(table)) <= {0, 1}
        rng = np.random.default_rng(self.seed)
        items = rng.standard_normal((table.shape[1], self.factors)) / 10
        for _ in range(self.iterations):
            users = self._solve(items, table)
            items = self._solve(users, table.T)
        self.item_factors = items.astype(np.float32)
        self.user_factors = self._solve(items, table).astype(np.float32)

    def _solve(self, fixed, table):
        solved = np.zeros((len(table), self.factors))
        for row, touched in enumerate(table):
            confidence = np.where(touched > 0, self.alpha, 1.0)
            matrix = (fixed * confidence[:, None]).T @ fixed + self.regularization * np.eye(self.factors)
            solved[row] = np.linalg.solve(matrix, fixed.T @ (confidence * touched))
        return solved


def install(monkeypatch):
    """Let ``implicit.als`` be this module's stand-in for one test."""
    package, module = types.ModuleType("implicit"), types.ModuleType("implicit.als")
    package.als, module.AlternatingLeastSquares = module, AlternatingLeastSquares
    monkeypatch.setitem(sys.modules, "implicit", package)
    monkeypatch.setitem(sys.modules, "implicit.als", module)
