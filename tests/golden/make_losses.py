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

import numpy as np


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


# --- losses that are handed more than scores: keywords of the row's "extras" come after the scores, "statistics" are
# what prepare() was handed


def _groups(users):
    return [[c for c, other in enumerate(users) if other == user] for user in users]


def bilateral_softmax(pos, negs, pos_temperature, neg_temperature, users):
    """arXiv 2312.12882 over the batch's positives of a user."""
    total = 0.0
    for row, group in zip(negs, _groups(users), strict=True):
        pull = sum(math.exp(pos[c] / pos_temperature) for c in group) / len(group)
        push = sum(math.exp(negative / neg_temperature) for negative in row) / len(row)
        total += -pos_temperature * math.log(pull) + neg_temperature * math.log(push)
    return total / len(pos)


def grouped_softmax(pos, negs, temperature, neg_weight, users):
    """BSL @89e0267, mode "multi"."""
    total = 0.0
    for row, group in zip(negs, _groups(users), strict=True):
        pull = sum(math.exp(pos[c] / temperature) for c in group) / len(group)
        push = (sum(math.exp(negative / temperature) for negative in row) / len(row)) ** neg_weight
        total -= math.log(pull / push)
    return total / len(pos)


def multi_sample(pos, negs, temperature, pull, n_positives, neg_weight, extra_positive_scores):
    """MSCL @c5ba593 without its 1e-5, averaged over positives, its sum over other rows a weighted mean of negatives."""
    total = 0.0
    for positive, row, more in zip(pos, negs, extra_positive_scores, strict=True):
        for each in [positive, *more]:
            rest = neg_weight / len(row) * sum(math.exp(negative / temperature) for negative in row)
            inside = math.exp(each / temperature) + rest
            total += (-pull * each / temperature + (1 - pull) * math.log(inside)) / n_positives
    return total / len(pos)


def warp(pos, negs, margin, statistics):
    """WSABIE's weight of the rank times the mean violation; ranks here are whole numbers."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        violations = [margin + negative - positive for negative in row if margin + negative > positive]
        rank = round((statistics["n_items"] - 1) * len(violations) / len(row))
        if violations:
            total += sum(1 / k for k in range(1, rank + 1)) * sum(violations) / len(violations)
    return total / len(pos)


def adaptive_temperature(pos, negs, warmup_epochs, users, statistics):
    """Adap_tau @9328cf6 before its first epoch: one temperature, from the counts alone."""
    counts = [0] * statistics["n_users"]
    for user, _ in statistics["pairs"]:
        counts[user] += 1
    place = 0.2 * (len(counts) - 1)
    low = sorted(counts)[int(place)]
    high = sorted(counts)[min(int(place) + 1, len(counts) - 1)]
    least = low + (place - int(place)) * (high - low)
    active = [user for user, count in enumerate(counts) if count > least]
    kept = sum(user in active for user, _ in statistics["pairs"])
    inverse = math.log(0.5 * len(active) * statistics["n_items"] / kept) / 0.7
    return decoupled_softmax(pos, negs, 1 / inverse)


def top_k_softmax(pos, negs, temperature, weight_temperature, neg_weight, k, pool_size, users, statistics):
    """IR-Benchmark @1dd8de9, optim_SLatK, while all thresholds are 0."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        weight = 1 / (1 + math.exp(-positive / weight_temperature))
        summed = neg_weight / len(row) * sum(math.exp((negative - positive) / temperature) for negative in row)
        total += weight * math.log(summed)
    return total / len(pos)


def global_contrastive(pos, negs, temperature, rate, users, statistics):
    """IR-Benchmark @1dd8de9, optim_SogCLR, the first time each user is seen: the ratio is 1."""
    return sum(1 - positive / temperature for positive in pos) / len(pos)


def global_top_k(pos, negs, temperature, weight_temperature, rate, users, statistics):
    """IR-Benchmark @1dd8de9, optim_SogSLatK, the first time each user is seen."""
    weights = [1 / (1 + math.exp(-positive / weight_temperature)) for positive in pos]
    mean = sum(weights) / len(weights)
    return sum(1 - w / mean * positive / temperature for w, positive in zip(weights, pos, strict=True)) / len(pos)


def adversarial_softmax(
    pos, negs, temperature, neg_weight, adversary_dim, adversary_rate, users, negatives, statistics
):
    """AdvInfoNCE @abaa0f3: the adversary's tables are Xavier's normal draws of generator 0, users first."""
    rng = np.random.default_rng(0)
    tables = [
        [
            [float(value) * math.sqrt(2 / (n + adversary_dim)) for value in row]
            for row in rng.standard_normal((n, adversary_dim), dtype=np.float32)
        ]
        for n in (statistics["n_users"], statistics["n_items"])
    ]
    total = 0.0
    for positive, row, user, items in zip(pos, negs, users, negatives, strict=True):
        raw = [math.exp(sum(a * b for a, b in zip(tables[0][user], tables[1][j], strict=True))) for j in items]
        weighed = sum(w / sum(raw) * math.exp(n / temperature) for w, n in zip(raw, row, strict=True))
        own = math.exp(positive / temperature)
        total -= math.log(own / (own + neg_weight * weighed))
    return total / len(pos)


def partial_auc(pos, negs, positive_share, negative_share):
    """swt-user/LLPAUC @e2d9e22, "TP_Point_TP", at its starting values a 1, b 0, s 0.5, gamma 0, theta 0.5."""

    def soft(value):
        return math.log(1 + math.exp(5 * value)) / 5

    def sigmoid(value):
        return 1 / (1 + math.exp(-value))

    best = sum(soft(-((sigmoid(s) - 1) ** 2) + 2 * sigmoid(s) - 0.5) for s in pos) / len(pos)
    flat = [negative for row in negs for negative in row]
    worst = sum(soft(sigmoid(s) ** 2 + 2 * sigmoid(s) - 0.5) for s in flat) / len(flat)
    return -0.5 - best / positive_share + 0.5 + worst / negative_share + 0.5 * 1 + 0.5 * 1


def _unit(vector):
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]


def _dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def alignment_uniformity(pos, negs, uniformity, user_vectors, positive_vectors):
    """DirectAU @60c964b."""
    users, items = ([_unit(vector) for vector in vectors] for vectors in (user_vectors, positive_vectors))
    total = sum(sum((a - b) ** 2 for a, b in zip(u, i, strict=True)) for u, i in zip(users, items, strict=True))
    total /= len(users)
    for vectors in (users, items):
        pairs = [
            math.exp(-2 * sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))
            for place, one in enumerate(vectors)
            for other in vectors[:place]
        ]
        total += uniformity / 2 * math.log(sum(pairs) / len(pairs)) if pairs else 0.0
    return total


def graph_constraint(
    pos,
    negs,
    weights,
    neg_weight,
    neighbour_weight,
    n_neighbours,
    users,
    positives,
    negatives,
    companion_scores,
    statistics,
):
    """UltraGCN @b220010, averaged over the batch; companions are ordered by likeness, the most like first."""
    pairs, n_items = statistics["pairs"], statistics["n_items"]
    by_user = {user: [i for u, i in pairs if u == user] for user in range(statistics["n_users"])}
    degree = [sum(i == item for _, i in pairs) for item in range(n_items)]
    common = [[sum(i in own and k in own for own in by_user.values()) for k in range(n_items)] for i in range(n_items)]
    sums = [sum(row) for row in common]

    def beta(user, item):
        return math.sqrt(len(by_user[user]) + 1) / len(by_user[user]) / math.sqrt(degree[item] + 1)

    def loss(score):
        return math.log(1 + math.exp(score))

    total = 0.0
    rows = zip(pos, negs, users, positives, negatives, companion_scores, strict=True)
    for positive, row, user, item, items, companions in rows:
        total += (weights[0] + weights[1] * beta(user, item)) * loss(-positive)
        for negative, other in zip(row, items, strict=True):
            total += neg_weight / len(row) * (weights[2] + weights[3] * beta(user, other)) * loss(negative)
        likeness = [
            common[item][k] * math.sqrt(sums[item] + 1) / sums[item] / math.sqrt(sums[k] + 1) for k in range(n_items)
        ]
        for omega, near in zip(sorted(likeness, reverse=True)[:n_neighbours], companions, strict=True):
            total += neighbour_weight * omega * loss(-near)
    return total / len(pos)


def _arc(one, other, share):
    """Return the point at ``share`` of the way along the shorter arc."""
    cosine = _dot(one, other)
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if angle < 1e-7:
        return one
    return [
        (math.sin((1 - share) * angle) * a + math.sin(share * angle) * b) / math.sin(angle)
        for a, b in zip(one, other, strict=True)
    ]


def _closest(one, other):
    """Return the largest cosine of two points on two arcs, by looking ever closer around the best of a grid."""
    best, middle, size = -2.0, (0.5, 0.5), 0.5
    for _ in range(9):
        steps = [size * (2 * step / 20 - 1) for step in range(21)]
        firsts, seconds = ([min(1.0, max(0.0, around + step)) for step in steps] for around in middle)
        ones, others = ([_arc(*ends, share) for share in shares] for ends, shares in ((one, firsts), (other, seconds)))
        for a, p in zip(firsts, ones, strict=True):
            for b, q in zip(seconds, others, strict=True):
                if _dot(p, q) > best:
                    best, middle = _dot(p, q), (a, b)
        size /= 5
    return best


def optimal_negatives(pos, negs, margin, user_vectors, positive_vectors, negative_vectors):
    """Triplet loss of arXiv 2108.09335, its closest points found by search."""
    total = 0.0
    for u, i, drawn in zip(user_vectors, positive_vectors, negative_vectors, strict=True):
        u, i, drawn = _unit(u), _unit(i), [_unit(vector) for vector in drawn]
        for first in drawn:
            for second in drawn:
                nearest = math.sqrt(max(2 - 2 * _closest((u, i), (first, second)), 1e-6))
                total += max(0.0, margin + math.sqrt(2 - 2 * _dot(u, i)) - nearest) / len(drawn) ** 2
    return total / len(pos)


def soft_contrastive(
    pos, negs, item_vectors, temperature, softness, uniformity, similarity_temperature, neg_weight, positives,
    negatives, statistics,
):  # fmt: skip
    """Soft-InfoNCE @5b7496b where neg_weight is N and the temperature 1."""
    vectors = [_unit(vector) for vector in item_vectors]
    total = 0.0
    for positive, row, item, items in zip(pos, negs, positives, negatives, strict=True):
        raw = [math.exp(_dot(vectors[item], vectors[j]) / similarity_temperature) for j in items]
        summed = 0.0
        for similarity, negative in zip(raw, row, strict=True):
            if uniformity * len(row) > softness:
                weight = (uniformity - softness * similarity / sum(raw)) / (uniformity - softness / len(row))
            else:
                weight = 1.0
            summed += max(weight, 0.1) * math.exp(negative / temperature) * neg_weight / len(row)
        own = math.exp(positive / temperature)
        total -= math.log(own / (own + summed))
    return total / len(pos)


def cross_batch_memory(pos, negs, threshold, neg_weight, memory_weight, memory_size, positives, companion_scores):
    """XBM's contrastive loss, research-xbm @223ecdc, with means; nothing is remembered yet."""
    total = 0.0
    for positive, row in zip(pos, negs, strict=True):
        total += 1 - positive + neg_weight * sum(n for n in row if n > threshold) / len(row)
    return total / len(pos)


def _posteriors(pos, negs, arguments, extras, statistics):
    """Yield scores and weights of each row's positives and negatives: VariationalBPR @cc3492b, without quality."""
    counts = [1 + sum(i == item for _, i in statistics["pairs"]) for item in range(statistics["n_items"])]
    popularity = [math.log(1 + count) / math.log(1 + max(counts)) for count in counts]
    for b, (positive, row) in enumerate(zip(pos, negs, strict=True)):
        high = [positive, *extras["extra_positive_scores"][b]]
        items = [extras["positives"][b], *extras["extra_positives"][b]]
        mean_high, mean_low = sum(high) / len(high), sum(row) / len(row)
        a = [
            max(1 - popularity[item], 1e-12) ** arguments["pos_rarity"]
            * (math.exp((mean_high - s) / 0.5) / sum(math.exp((mean_high - t) / 0.5) for t in high))
            ** arguments["pos_hardness"]
            * math.exp(s / arguments["pos_scale"])
            for s, item in zip(high, items, strict=True)
        ]  # fmt: skip
        weights = [
            popularity[item] ** arguments["neg_popularity"]
            * (math.exp((s - mean_low) / 0.5) / sum(math.exp((t - mean_low) / 0.5) for t in row))
            ** arguments["neg_hardness"]
            * math.exp(-s / arguments["neg_scale"])
            for s, item in zip(row, extras["negatives"][b], strict=True)
        ]  # fmt: skip
        yield high, [w / sum(a) for w in a], row, [w / sum(weights) for w in weights]


def variational_bpr(pos, negs, statistics, **given):
    """VariationalBPR @cc3492b, VarBPRExact."""
    total = 0.0
    for high, a, low, b in _posteriors(pos, negs, given, given, statistics):
        for s, v in zip(high, a, strict=True):
            for t, w in zip(low, b, strict=True):
                total += v * w * math.log(1 + math.exp(t - s))
    return total / len(pos)


def variational_bpr_plug_in(pos, negs, statistics, **given):
    """VariationalBPR @cc3492b, VarBPRPlugIn."""
    total = 0.0
    for high, a, low, b in _posteriors(pos, negs, given, given, statistics):
        total += math.log(1 + math.exp(_dot(low, b) - _dot(high, a)))
    return total / len(pos)


def attentive_bpr(pos, negs, pos_scale, neg_scale, n_positives, extra_positive_scores):
    """Variational BPR v1: attention on both sides."""
    total = 0.0
    for positive, row, more in zip(pos, negs, extra_positive_scores, strict=True):
        means = []
        for scores, scale in (([positive, *more], pos_scale), (row, neg_scale)):
            attention = [math.exp(s / scale) for s in scores]
            means.append(_dot(attention, scores) / sum(attention))
        total += math.log(1 + math.exp(means[1] - means[0]))
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
    "bilateral-softmax": bilateral_softmax,
    "grouped-softmax": grouped_softmax,
    "multi-sample": multi_sample,
    "warp": warp,
    "adaptive-temperature": adaptive_temperature,
    "top-k-softmax": top_k_softmax,
    "global-contrastive": global_contrastive,
    "global-top-k": global_top_k,
    "adversarial-softmax": adversarial_softmax,
    "partial-auc": partial_auc,
    "alignment-uniformity": alignment_uniformity,
    "graph-constraint": graph_constraint,
    "optimal-negatives": optimal_negatives,
    "soft-contrastive": soft_contrastive,
    "cross-batch-memory": cross_batch_memory,
    "variational-bpr": variational_bpr,
    "variational-bpr-plug-in": variational_bpr_plug_in,
    "attentive-bpr": attentive_bpr,
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


USERS, ITEMS, DIM = 4, 19, 3
PAIRS = [[u, i] for u in range(USERS) for i in range(ITEMS) if (3 * u + i * i) % 7 < 2]
MORE = {  # loss: arguments; what it is handed besides scores; whether it is prepared
    "bilateral-softmax": (
        [{"pos_temperature": 0.11, "neg_temperature": 0.121}, {"pos_temperature": 0.4, "neg_temperature": 0.2}],
        ["users"], False,
    ),
    "grouped-softmax": (
        [{"temperature": 0.08, "neg_weight": 1.22}, {"temperature": 0.5, "neg_weight": 1.0}], ["users"], False,
    ),
    "multi-sample": (
        [
            {"temperature": 0.2, "pull": 0.45, "n_positives": 3, "neg_weight": 100.0},
            {"temperature": 0.5, "pull": 0.6, "n_positives": 3, "neg_weight": 4.0},
        ],
        ["extra_positive_scores"], False,
    ),
    "warp": ([{"margin": 1.0}, {"margin": 0.3}], [], True),
    "adaptive-temperature": ([{"warmup_epochs": 1}], ["users"], True),
    "top-k-softmax": (
        [{"temperature": 0.1, "weight_temperature": 1.0, "neg_weight": 1000.0, "k": 2, "pool_size": 5}],
        ["users"], True,
    ),
    "global-contrastive": ([{"temperature": 0.1, "rate": 0.9}], ["users"], True),
    "global-top-k": ([{"temperature": 0.1, "weight_temperature": 0.75, "rate": 0.9}], ["users"], True),
    "adversarial-softmax": (
        [{"temperature": 0.1, "neg_weight": 64.0, "adversary_dim": 2, "adversary_rate": 0.5}],
        ["users", "negatives"], True,
    ),
    "partial-auc": (
        [{"positive_share": 0.7, "negative_share": 0.1}, {"positive_share": 1.0, "negative_share": 0.5}], [], False,
    ),
    "alignment-uniformity": ([{"uniformity": 1.0}, {"uniformity": 5.0}], ["user_vectors", "positive_vectors"], False),
    "graph-constraint": (
        [
            {"weights": [1e-6, 1.0, 1e-6, 1.0], "neg_weight": 300.0, "neighbour_weight": 5e-4, "n_neighbours": 2},
            {"weights": [0.5, 1.0, 0.25, 2.0], "neg_weight": 2.0, "neighbour_weight": 2.75, "n_neighbours": 2},
        ],
        ["users", "positives", "negatives", "companion_scores"], True,
    ),
    "optimal-negatives": (
        [{"margin": 0.1}, {"margin": 0.8}], ["user_vectors", "positive_vectors", "negative_vectors"], False,
    ),
    "soft-contrastive": (
        [
            {"softness": 1.0, "uniformity": 1.0, "temperature": 1.0, "similarity_temperature": 1.0, "neg_weight": 3.0},
            {"softness": 2.0, "uniformity": 0.7, "temperature": 0.3, "similarity_temperature": 0.2, "neg_weight": 9.0},
        ],
        ["positives", "negatives"], True,
    ),
    "cross-batch-memory": (
        [{"threshold": 0.5, "neg_weight": 100.0, "memory_weight": 10.0, "memory_size": 2}],
        ["positives", "companion_scores"], False,
    ),
    "attentive-bpr": (
        [
            {"pos_scale": 10.0, "neg_scale": 0.5, "n_positives": 3},
            {"pos_scale": 1.0, "neg_scale": 2.0, "n_positives": 3},
        ],
        ["extra_positive_scores"], False,
    ),
}  # fmt: skip
for _name in ("variational-bpr", "variational-bpr-plug-in"):
    MORE[_name] = (
        [
            {"pos_scale": 8.0, "neg_scale": 8.0, "pos_rarity": 0.2, "pos_hardness": 0.8, "neg_hardness": 1.0},
            {"pos_scale": 0.5, "neg_scale": 1.5, "pos_rarity": 2.0, "pos_hardness": 0.0, "neg_hardness": 0.5},
        ],
        ["positives", "negatives", "extra_positives", "extra_positive_scores"],
        True,
    )
    for _arguments, _power in zip(MORE[_name][0], (0.0, 1.5), strict=True):
        _arguments |= {"neg_popularity": _power, "n_positives": 3}


def rows_with_more():
    """Return rows of losses that are handed more than scores; ranks of WARP are whole: N divides I - 1."""
    draw = random.Random(1)

    def numbers(*shape):
        if not shape:
            return round(draw.uniform(-1, 1), 4)
        return [numbers(*shape[1:]) for _ in range(shape[0])]

    rows = []
    for name, (choices, needed, prepared) in MORE.items():
        for chosen in choices:
            for size, columns in ((1, 1), (5, 3), (4, 6)):
                touched = [draw.choice(PAIRS) for _ in range(size)]
                every = {
                    "users": [u for u, _ in touched],
                    "positives": [i for _, i in touched],
                    "negatives": [[draw.randrange(ITEMS) for _ in range(columns)] for _ in range(size)],
                    "extra_positives": [[draw.randrange(ITEMS) for _ in range(2)] for _ in range(size)],
                    "extra_positive_scores": numbers(size, 2),
                    "companion_scores": numbers(size, 2),
                    "user_vectors": numbers(size, DIM),
                    "positive_vectors": numbers(size, DIM),
                    "negative_vectors": numbers(size, columns, DIM),
                }
                arguments = dict(chosen)
                if name == "soft-contrastive":
                    arguments["item_vectors"] = numbers(ITEMS, DIM)
                row = {"loss": name, "arguments": arguments, "pos_scores": numbers(size)}
                row |= {"neg_scores": numbers(size, columns), "extras": {key: every[key] for key in needed}}
                row |= {"n_users": USERS, "n_items": ITEMS, "pairs": PAIRS} if prepared else {}
                given = {"statistics": row} if prepared else {}
                value = FORMULAS[name](row["pos_scores"], row["neg_scores"], **arguments, **row["extras"], **given)
                rows.append(row | {"value": value})
    return rows


def golden():
    return rows_with_scores() + rows_with_more()


def rows_with_scores():
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
    rows = ",\n".join(json.dumps(row) for row in golden())
    Path(__file__).with_name("losses.json").write_text(f"[\n{rows}\n]\n")
