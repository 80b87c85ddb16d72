"""Makes losses.json: plain loops over the official formulas, independent of torch.

Run: python tests/golden/make_losses.py

MML: sum over margins, mean over negatives, mean over the batch (mgulcin/mmcl @607510e); CCL (RecZoo @88fae23);
BPR: mean of softplus over batch and negatives (RecBox @6af132f). The others: each function names its source; where the
published code sums over the negatives of a row inside a logarithm, the constant is taken off as its docstring says.
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


def multi_margin_positives(pos, negs, margins, margin_weights, pos_weight, neg_weight):
    """mgulcin/mmcl @9b90663, positives "v1"."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        for margin, weight in zip(margins, margin_weights, strict=True):
            total += pos_weight * (1.0 - weight) * max(0.0, margin - positive)
            for negative in row:
                total += neg_weight * weight * max(0.0, negative - margin) / len(row)
    return total / len(pos)


def multi_margin_active(pos, negs, margins, margin_weights, pos_weight, neg_weight):
    """mgulcin/mmcl @9b90663, mean "v1": over active margins, then over active negatives."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        means = []
        for negative in row:
            terms = [w * max(0.0, negative - m) for m, w in zip(margins, margin_weights, strict=True)]
            active = [term for term in terms if term > 0]
            if active:
                means.append(sum(active) / len(active))
        total += pos_weight * max(0.0, 1.0 - positive)
        total += neg_weight * sum(means) / len(means) if means else 0.0
    return total / len(pos)


def k_pair_bpr(pos, negs, neg_weight):
    """log(1 + sum exp(s_uj - s_ui)) of MixGCF @e659f4a where neg_weight is N."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        total += math.log(1.0 + neg_weight / len(row) * sum(math.exp(negative - positive) for negative in row))
    return total / len(pos)


def pairwise_margin(pos, negs, margin):
    """RecBox @6af132f, PairwiseMarginLoss."""
    pairs = [max(0.0, margin + n - positive) for positive, row in zip(pos, negs, strict=True) for n in row]
    return sum(pairs) / len(pairs)


def simce(pos, negs, margin):
    """README of the authors' repository."""
    return sum(max(0.0, margin - positive + max(row)) for positive, row in zip(pos, negs, strict=True)) / len(pos)


def mean_squared_error(pos, negs, pos_weight, neg_weight):
    """RecBox @6af132f MSELoss where pos_weight is 1 and neg_weight is N."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        total += pos_weight * (positive - 1) ** 2 / 2
        for negative in row:
            total += neg_weight / len(row) * negative**2 / 2
    return total / len(pos)


def sigmoid_cross_entropy(pos, negs, temperature, pos_weight, neg_weight):
    """RecBox @6af132f SigmoidCrossEntropyLoss over B where the temperature and pos_weight are 1 and neg_weight is N."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        total -= pos_weight * math.log(1 / (1 + math.exp(-positive / temperature)))
        for negative in row:
            total -= neg_weight / len(row) * math.log(1 - 1 / (1 + math.exp(-negative / temperature)))
    return total / len(pos)


def generalized_bce(pos, negs, calibration, sampling_rate, neg_weight):
    """gSASRec: alpha (t (1 - 1/alpha) + 1/alpha) is the power of the positive's sigmoid; a mean over 1 + neg_weight."""
    power = sampling_rate * (calibration * (1 - 1 / sampling_rate) + 1 / sampling_rate)
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        total -= math.log((1 / (1 + math.exp(-positive))) ** power) / (1 + neg_weight)
        for negative in row:
            total -= neg_weight / len(row) * math.log(1 - 1 / (1 + math.exp(-negative))) / (1 + neg_weight)
    return total / len(pos)


def sampled_softmax(pos, negs, temperature, neg_weight):
    """SSM-TensorFlow @661767c where neg_weight is N, averaged over the batch."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        own = math.exp(positive / temperature)
        rest = neg_weight / len(row) * sum(math.exp(negative / temperature) for negative in row)
        total -= math.log(own / (own + rest))
    return total / len(pos)


def decoupled_softmax(pos, negs, temperature):
    """BSL @89e0267, mode "single"; IR-Benchmark @1dd8de9 less log N."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        mean = sum(math.exp(negative / temperature) for negative in row) / len(row)
        total -= math.log(math.exp(positive / temperature) / mean)
    return total / len(pos)


def reweighted_softmax(pos, negs, temperature, neg_weight):
    """BSL @89e0267, mode "reweight", less neg_weight log N."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        powered = sum(math.exp(negative / temperature) for negative in row) ** neg_weight
        total -= math.log(math.exp(positive / temperature) / powered) + neg_weight * math.log(len(row))
    return total / len(pos)


def bilateral_row(pos, negs, pos_temperature, neg_temperature):
    """IR-Benchmark @1dd8de9, less the constant of log N."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        summed = math.log(sum(math.exp(negative / neg_temperature) for negative in row) / len(row))
        total += -positive / pos_temperature + neg_temperature / pos_temperature * summed
    return total / len(pos)


def pairwise_softmax(pos, negs, activation, temperature, scale):
    """IR-Benchmark @1dd8de9, optim_PSL, method 1, less log N."""
    step = {"tanh": lambda d: math.tanh(d) + 1, "atan": lambda d: math.atan(d) + 1, "relu": lambda d: max(0.0, d + 1)}
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        powers = [step[activation]((negative - positive) / scale) ** (1 / temperature) for negative in row]
        total += math.log(sum(powers) / len(powers))
    return total / len(pos)


def hard_contrastive(pos, negs, temperature, hardness, positive_prior, neg_weight, lowest_score):
    """HCL @7b4647f where neg_weight is N: importance E^beta over its mean."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        own, n = math.exp(positive / temperature), len(row)
        scores = [math.exp(negative / temperature) for negative in row]
        importance = [score**hardness for score in scores]
        mean = sum(importance) / n
        weighed = sum(w * score for w, score in zip(importance, scores, strict=True)) / mean
        left = max(
            (-positive_prior * n * own + weighed) / (1 - positive_prior), n * math.exp(lowest_score / temperature)
        )
        total -= math.log(own / (own + neg_weight / n * left))
    return total / len(pos)


def debiased_contrastive(pos, negs, temperature, positive_prior, neg_weight, lowest_score):
    """DCL @7d6345f where neg_weight is N."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        own, n = math.exp(positive / temperature), len(row)
        summed = sum(math.exp(negative / temperature) for negative in row)
        left = max(
            (-positive_prior * n * own + summed) / (1 - positive_prior), n * math.exp(lowest_score / temperature)
        )
        total -= math.log(own / (own + neg_weight / n * left))
    return total / len(pos)


FORMULAS = {
    "multi-margin": multi_margin,
    "multi-margin-positives": multi_margin_positives,
    "multi-margin-active": multi_margin_active,
    "cosine-contrastive": cosine_contrastive,
    "bpr": bpr,
    "k-pair-bpr": k_pair_bpr,
    "pairwise-margin": pairwise_margin,
    "simce": simce,
    "mean-squared-error": mean_squared_error,
    "sigmoid-cross-entropy": sigmoid_cross_entropy,
    "generalized-bce": generalized_bce,
    "sampled-softmax": sampled_softmax,
    "decoupled-softmax": decoupled_softmax,
    "reweighted-softmax": reweighted_softmax,
    "bilateral-row": bilateral_row,
    "pairwise-softmax": pairwise_softmax,
    "debiased-contrastive": debiased_contrastive,
    "hard-contrastive": hard_contrastive,
}


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
        "multi-margin-positives": [
            {"margins": [0.7, 0.8, 0.9], "margin_weights": [0.1, 0.15, 0.75], "pos_weight": 1.0, "neg_weight": 700.0},
            {"margins": [-0.5, 0.3], "margin_weights": [1.0, 0.0], "pos_weight": 2.0, "neg_weight": 3.0},
        ],
        "multi-margin-active": [
            {"margins": [0.7, 0.8, 0.9], "margin_weights": [0.1, 0.15, 0.75], "pos_weight": 1.0, "neg_weight": 10.0},
            {"margins": [-0.5, 0.3, 0.6], "margin_weights": [1.0, 0.0, 2.0], "pos_weight": 2.0, "neg_weight": 3.0},
        ],
        "k-pair-bpr": [{"neg_weight": 1.0}, {"neg_weight": 7.0}],
        "pairwise-margin": [{"margin": 1.0}, {"margin": 0.2}],
        "simce": [{"margin": 5.0}, {"margin": 0.1}],
        "generalized-bce": [
            {"calibration": 0.75, "sampling_rate": 0.075, "neg_weight": 256.0},
            {"calibration": 0.0, "sampling_rate": 0.5, "neg_weight": 7.0},
            {"calibration": 1.0, "sampling_rate": 0.01, "neg_weight": 1.0},
        ],
        "sampled-softmax": [{"temperature": 0.1, "neg_weight": 100.0}, {"temperature": 1.0, "neg_weight": 7.0}],
        "decoupled-softmax": [{"temperature": 0.1}, {"temperature": 0.7}],
        "reweighted-softmax": [{"temperature": 0.11, "neg_weight": 1.1}, {"temperature": 0.5, "neg_weight": 0.84}],
        "bilateral-row": [
            {"pos_temperature": 0.11, "neg_temperature": 0.121},
            {"pos_temperature": 1.0, "neg_temperature": 0.3},
        ],
        "pairwise-softmax": [
            {"activation": "relu", "temperature": 0.05, "scale": 2.0},
            {"activation": "tanh", "temperature": 0.1, "scale": 2.0},
            {"activation": "atan", "temperature": 0.25, "scale": 3.0},
        ],
        "debiased-contrastive": [
            {"temperature": 0.5, "positive_prior": 0.1, "neg_weight": 100.0, "lowest_score": -1.0},
            {"temperature": 0.2, "positive_prior": 0.4, "neg_weight": 7.0, "lowest_score": -1.0},
            {"temperature": 1.0, "positive_prior": 0.0, "neg_weight": 7.0, "lowest_score": -3.0},
        ],
        "hard-contrastive": [
            {"temperature": 0.5, "hardness": 1.0, "positive_prior": 0.1, "neg_weight": 100.0, "lowest_score": -1.0},
            {"temperature": 0.3, "hardness": 0.5, "positive_prior": 0.3, "neg_weight": 7.0, "lowest_score": -1.0},
        ],
        "mean-squared-error": [{"pos_weight": 1.0, "neg_weight": 7.0}, {"pos_weight": 0.5, "neg_weight": 1.0}],
        "sigmoid-cross-entropy": [
            {"temperature": 1.0, "pos_weight": 1.0, "neg_weight": 7.0},
            {"temperature": 0.1, "pos_weight": 0.5, "neg_weight": 3.0},
        ],
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
