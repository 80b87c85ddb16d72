"""A loss and a sampler of your own, in fifteen lines each, named in a recipe by ``module:Class``.

Run it with ``python examples/own_loss.py``; or, in the folder of this file, from the command line:

    multimargin fit mf-mml --data events.csv --run runs/own loss=own_loss:SquaredHingeLoss loss.margin=0.5
"""

import sys
from pathlib import Path

import numpy as np

from multimargin import Loss, Negatives, NegativeSampler, Recipe, checks, fit_recipe, make_synthetic


class SquaredHingeLoss(Loss):
    """Pulls a positive's score up to 1 and pushes a negative's below a margin, by squares."""

    def __init__(self, margin: float = 0.3, *, neg_weight: float = 5.0):
        super().__init__()
        self.margin = checks.finite("margin", margin)
        self.neg_weight = checks.not_negative("neg_weight", neg_weight)

    def forward(self, pos_scores, neg_scores, *, log_q=None, mask=None):  # noqa: ARG002
        pull = (1 - pos_scores).relu().square()  # (B,)
        push = (neg_scores - self.margin).relu().square()  # (B, N)
        counts = push.new_ones(push.shape) if mask is None else mask.to(push.dtype)
        push = (push * counts).sum(-1) / counts.sum(-1).clamp(min=1)
        return (pull + self.neg_weight * push).mean()


class NeighbouringNegatives(NegativeSampler):
    """Draws items whose number is near the positive's, as if neighbours on a shelf were alike."""

    def __init__(self, reach: int = 20):
        self.reach = checks.positive_int("reach", reach)

    def build(self, train):
        self.n_items = train.n_items

    def sample(self, users, positives, n, *, rng):
        step = rng.generator().integers(1, self.reach + 1, (len(users), n))
        return Negatives((positives[:, None] + step) % self.n_items)

    def probabilities(self, users):
        return np.full((len(users), self.n_items), 1 / self.n_items)  # over positives that are equally frequent


def main(folder: Path) -> dict[str, float]:
    log = make_synthetic(300, 200, rng=0).interactions
    pairs = zip(log.users.ids(log.user_index), log.items.ids(log.indices), strict=True)
    (folder / "events.csv").write_text("user_id,item_id\n" + "".join(f"{user},{item}\n" for user, item in pairs))
    base = {"encoder": {"name": "mf", "embedding_dim": 16}, "k": [10], "metric": "NDCG@10", "epochs": 8}
    base |= {"n_negatives": 20, "batch_size": 128, "learning_rate": 0.01}
    found = {}
    for name, overrides in {
        "our loss": ["loss=own_loss:SquaredHingeLoss", "loss.margin=0.4"],
        "our sampler": ["negatives=own_loss:NeighbouringNegatives", "loss=bpr", "encoder.similarity=dot"],
        "no training": ["loss=own_loss:SquaredHingeLoss", "loss.neg_weight=0", "epochs=1", "learning_rate=1e-9"],
    }.items():
        fitted = fit_recipe(
            Recipe.load(base, overrides),
            data=folder / "events.csv",
            run=folder / name.replace(" ", "-"),
            progress=False,
        )
        found[name] = fitted.evaluation.metrics["NDCG@10"]
        print(f"{name:<12} NDCG@10 {found[name]:.3f}")
    return found


if __name__ == "__main__":
    import tempfile

    sys.path.append(str(Path(__file__).parent))  # where own_loss is found; the command line looks in its own folder
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
