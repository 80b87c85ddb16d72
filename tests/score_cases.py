"""Tables, indices and gradients to score with, and how near a compiled form must come to the reference."""

import numpy as np
import torch

from multimargin.kernels.sampled_scores import sampled_scores

# allowed beyond the float32 reference's own error, relative to the largest entry
TOLERANCE = {"pos_scores": 5e-7, "neg_scores": 5e-7, "user_gradient": 2e-6, "item_gradient": 2e-6}
N_USERS, N_ITEMS = 31, 53


class Case:
    """Tables, indices and upstream gradients of prime sizes; users and items repeat within the batch."""

    def __init__(self, *, B=37, N=19, dim=13, scaled=True, shared=False, zeros=0.0, seed=0):
        rng = np.random.default_rng(seed)
        self.tables = [
            torch.from_numpy(rng.standard_normal((rows, dim)).astype(np.float32)) for rows in (N_USERS, N_ITEMS)
        ]
        self.users, self.positives = (torch.from_numpy(rng.integers(0, rows // 2, B)) for rows in (N_USERS, N_ITEMS))
        self.negatives = torch.from_numpy(rng.integers(0, N_ITEMS, N if shared else (B, N)))
        self.query_scale = None
        if scaled:
            self.query_scale = torch.from_numpy(((rng.random((B, dim)) > 0.2) / 0.8).astype(np.float32))
        # upstream gradients of all sizes, none of them 1, some exactly 0
        self.upstream = [
            torch.from_numpy((rng.standard_normal(shape) * (rng.random(shape) >= zeros)).astype(np.float32))
            for shape in (B, (B, N))
        ]

    def run(self, impl, *, similarity, dtype=torch.float32, wanted=(True, True), sparse=False, device="cpu"):
        """Return scores and the wanted gradients by name, on the CPU."""
        tables = [
            table.to(device, dtype, copy=True).requires_grad_(need)
            for table, need in zip(self.tables, wanted, strict=True)
        ]
        scale = None if self.query_scale is None else self.query_scale.to(device, dtype)
        scores = sampled_scores(
            *tables, *(index.to(device) for index in (self.users, self.positives, self.negatives)),
            similarity=similarity, query_scale=scale, sparse=sparse, impl=impl,
        )  # fmt: skip
        if any(wanted):
            torch.autograd.backward(scores, [each.to(device, dtype) for each in self.upstream])
        names = ("pos_scores", "neg_scores", "user_gradient", "item_gradient")
        values = [score.detach() for score in scores] + [table.grad for table in tables]
        return {name: None if each is None else each.cpu() for name, each in zip(names, values, strict=True)}


def assert_as_close_as_float32(case, similarity, *, impl="cpu", device="cpu", wanted=(True, True), sparse=False):
    """Compare an implementation with the reference in float64, and its error with the reference's in float32."""
    exact = case.run("reference", similarity=similarity, dtype=torch.float64, wanted=wanted)
    plain = case.run("reference", similarity=similarity, wanted=wanted)
    kernel = case.run(impl, similarity=similarity, wanted=wanted, sparse=sparse, device=device)
    for name, tolerance in TOLERANCE.items():
        if exact[name] is None:
            assert kernel[name] is None
            continue
        assert kernel[name].dtype == torch.float32
        assert kernel[name].shape == exact[name].shape
        assert kernel[name].is_sparse == (sparse and name.endswith("gradient"))
        off = (kernel[name].to_dense().double() - exact[name]).abs()
        allowed = (plain[name].double() - exact[name]).abs() + tolerance * exact[name].abs().max()
        assert (off <= allowed).all(), f"{name}: {(off - allowed).max():.2e} too far"
