"""Makes losses.json: plain loops over the official formulas, independent of torch.

Run: python tests/golden/make_losses.py

MML: sum over margins, mean over negatives, mean over the batch (mgulcin/mmcl @607510e); CCL (RecZoo @88fae23);
BPR: mean of softplus over batch and negatives (RecBox @6af132f).
"""

import json
import math
import random
from pathlib import Path


def multi_margin(pos, negs, margins, margin_weights, pos_weight, neg_weight):
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        push = 0.0
        for negative in row:
            for margin, weight in zip(margins, margin_weights, strict=True):
                push += weight * max(0.0, negative - margin)
        total += pos_weight * max(0.0, 1.0 - positive) + neg_weight * push / len(row)
    return total / len(pos)


def cosine_contrastive(pos, negs, margin, pos_weight, neg_weight):
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        push = sum(max(0.0, negative - margin) for negative in row)
        total += pos_weight * max(0.0, 1.0 - positive) + neg_weight * push / len(row)
    return total / len(pos)


def bpr(pos, negs):
    pairs = [
        math.log(1.0 + math.exp(negative - positive))
        for positive, row in zip(pos, negs, strict=True)
        for negative in row
    ]
    return sum(pairs) / len(pairs)


FORMULAS = {"multi-margin": multi_margin, "cosine-contrastive": cosine_contrastive, "bpr": bpr}


def cases():
    """Yield (loss name, arguments, positives, negatives); the first row was worked out by hand: 0.2916667."""
    yield (
        "multi-margin",
        {"margins": [0.6, 0.9], "margin_weights": [0.25, 0.75], "pos_weight": 1.0, "neg_weight": 2.0},
        [0.8],
        [[0.95, 0.65, 0.10]],
    )
    draw = random.Random(0)
    yelp = {"pos_weight": 1.0, "neg_weight": 400.0}
    arguments = {
        "multi-margin": [
            {"margins": [0.7, 0.8, 0.9], "margin_weights": [0.1, 0.15, 0.75], "pos_weight": 1.0, "neg_weight": 700.0},
            {"margins": [0.6, 0.7, 0.8, 0.9], "margin_weights": [0.05, 0.15, 0.2, 0.6], **yelp},
            {"margins": [-0.2], "margin_weights": [1.0], "pos_weight": 0.5, "neg_weight": 3.0},
        ],
        "cosine-contrastive": [
            {"margin": 0.9, "pos_weight": 1.0, "neg_weight": 150.0},
            {"margin": 0.0, "pos_weight": 2.0, "neg_weight": 1.0},
        ],
        "bpr": [{}],
    }  # fmt: skip
    for name, choices in arguments.items():
        for chosen in choices:
            for rows, columns in ((1, 1), (5, 7), (3, 40)):
                pos = [round(draw.uniform(-1.1, 1.1), 4) for _ in range(rows)]
                if rows > 1:
                    pos[-1] = 1.05  # above 1, where dropout can lift a cosine
                negs = [[round(draw.uniform(-1.1, 1.1), 4) for _ in range(columns)] for _ in range(rows)]
                yield name, chosen, pos, negs


def golden():
    return [
        {
            "loss": name,
            "arguments": arguments,
            "pos_scores": pos,
            "neg_scores": negs,
            "value": FORMULAS[name](pos, negs, **arguments),
        }
        for name, arguments, pos, negs in cases()
    ]


if __name__ == "__main__":
    Path(__file__).with_name("losses.json").write_text(json.dumps(golden(), indent=0) + "\n")
