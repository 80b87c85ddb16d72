"""What a trained model does, beyond its metrics: how its scores are spread, and how popular what it recommends is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions
from multimargin.errors import ArgumentError
from multimargin.recipes.fit import Parts
from multimargin.recipes.recipe import Recipe
from multimargin.recommend import Recommender
from multimargin.recommend.top_k import SeenItems, normalised
from multimargin.rng import Streams

GROUPS = 10
"""Groups of items by popularity, each with as many training interactions as the next."""

_PAIRS = 50_000  # pairs of each kind whose scores are looked at
_USERS = 50_000  # users whose lists are
_BINS = 200
_BLOCK = 8_192
_OUTSIDE = 0.001  # share of scores beyond the edges at either end, where scores have no bounds
_TRIES = 10  # draws of an unseen item for each user


def analyse(model: Recommender, parts: Parts, recipe: Recipe) -> dict[str, Any]:
    """Return what ``analysis.json`` holds.

    Args:
        model: the run's recommender.
        parts: its data; the test part is there.
        recipe: its recipe; lists are as long as its metric's cut-off.

    Returns:
        Under "scores" (None for a model without vectors) the edges of bins and, for each kind of pair, counts:
        "training" and "test" interactions, "unseen" pairs drawn at random, "listed" pairs in the lists that are no test
        interactions. Under "popularity" the shares of each group of items, most popular first, in "items", "test" and
        "listed"; "coverage", the share of items that are in any list; "gini" of how often items are listed;
        "mean_interactions" of a listed item.
    """
    assert parts.test is not None
    rng = Streams(recipe.data_seed).generator("analyse")
    try:
        has_vectors = len(model.item_table) > 0
    except ArgumentError:  # scores come from histories
        has_vectors = False
    k = min(int(str(recipe.values["metric"]).partition("@")[2]), parts.train.n_items)
    users = np.flatnonzero(parts.test.user_counts)
    if len(users) > _USERS:
        users = np.sort(rng.choice(users, _USERS, replace=False))
    lists = _lists(model, parts.seen, users, k)
    filled = lists >= 0
    listed_users, listed_items = np.repeat(users, filled.sum(1)), lists[filled].astype(np.int64)
    pairs = {
        "training": _sample(parts.train.user_index, parts.train.indices, rng),
        "test": _sample(parts.test.user_index, parts.test.indices, rng),
        "unseen": _unseen(parts, users, rng),
        "listed": _sample(*_left(listed_users, listed_items, parts.test), rng),
    }
    return {
        "k": k,
        "scores": _spread(model, {kind: pair for kind, pair in pairs.items() if len(pair[0])}) if has_vectors else None,
        "popularity": _popularity(listed_items, parts),
    }


def popularity_groups(item_counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (I,) the group of each item, 0 for the most popular; ``GROUPS`` of them, of as many interactions each.

    An item belongs to the group that the middle of its own interactions falls into, when items stand in order of
    popularity, ties by their index.

    Example:
        >>> popularity_groups(np.array([1, 50, 49])).tolist()
        [9, 2, 7]
    """
    order = np.argsort(-item_counts, kind="stable")
    ordered = item_counts[order]
    middle = np.cumsum(ordered) - ordered / 2
    groups = np.empty(len(item_counts), dtype=np.int64)
    groups[order] = np.minimum((GROUPS * middle / max(int(ordered.sum()), 1)).astype(np.int64), GROUPS - 1)
    return groups


def gini(counts: NDArray[np.int64]) -> float:
    """Return the Gini coefficient of ``counts``: 0 where all are equal, near 1 where one has everything.

    Example:
        >>> gini(np.array([5, 5, 5])), gini(np.array([0, 0, 0, 8]))
        (0.0, 0.75)
    """
    ordered = np.sort(counts).astype(np.float64)
    n, total = len(ordered), ordered.sum()
    if not total:
        return 0.0
    ranks = np.arange(1, n + 1)
    return float((2 * ranks - n - 1) @ ordered / (n * total))


def _lists(model: Recommender, seen: Interactions, users: NDArray[np.int64], k: int) -> NDArray[np.int32]:
    """Return (n, k) the lists that are compared with the test data."""
    blocks = []
    for start in range(0, len(users), _BLOCK):
        part = users[start : start + _BLOCK]
        known = SeenItems(seen.indptr, seen.indices, part)
        blocks.append(model.scorer.rank_users(part, k, seen=known)[0])
    return np.concatenate(blocks)


_Pairs = tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]


def _sample(users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]], rng: np.random.Generator) -> _Pairs:
    if len(users) <= _PAIRS:
        return users, items
    chosen = rng.choice(len(users), _PAIRS, replace=False)
    return users[chosen], items[chosen]


def _left(users: NDArray[np.int64], items: NDArray[np.int64], test: Interactions) -> _Pairs:
    """Return the pairs that are no test interactions."""
    keep = ~np.isin(_keys(users, items, test.n_items), _keys(test.user_index, test.indices, test.n_items))
    return users[keep], items[keep]


def _unseen(parts: Parts, users: NDArray[np.int64], rng: np.random.Generator) -> _Pairs:
    """Return pairs at random that are in no part; fewer where users have touched nearly everything."""
    n_items = parts.train.n_items
    drawn_users = rng.choice(users, _TRIES * _PAIRS)
    drawn_items = rng.integers(n_items, size=len(drawn_users))
    assert parts.test is not None
    taken = np.concatenate([_keys(each.user_index, each.indices, n_items) for each in (parts.seen, parts.test)])
    keep = np.flatnonzero(~np.isin(_keys(drawn_users, drawn_items, n_items), taken))[:_PAIRS]
    return drawn_users[keep], drawn_items[keep]


def _keys(users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]], n_items: int) -> NDArray[np.int64]:
    return users.astype(np.int64) * n_items + items


def _spread(model: Recommender, pairs: dict[str, _Pairs]) -> dict[str, Any]:
    scores = {kind: _scores(model, *each) for kind, each in pairs.items()}
    if model.similarity == "cosine":
        edges = np.linspace(-1, 1, _BINS + 1)
    else:
        ends = [np.quantile(each, (_OUTSIDE, 1 - _OUTSIDE)) for each in scores.values()]
        low, high = min(float(each[0]) for each in ends), max(float(each[1]) for each in ends)
        edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    kinds = {
        kind: {
            "n": len(each),
            "counts": np.histogram(np.clip(each, edges[0], edges[-1]), edges)[0].tolist(),
            "mean": float(each.mean()),
        }
        for kind, each in scores.items()
    }
    return {"similarity": model.similarity, "edges": edges.tolist(), "kinds": kinds}


def _scores(
    model: Recommender, users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]]
) -> NDArray[np.float32]:
    scores = np.empty(len(users), dtype=np.float32)
    for start in range(0, len(users), _BLOCK):
        part = slice(start, start + _BLOCK)
        user_vectors, item_vectors = model.user_table[users[part]], model.item_table[items[part]]
        if model.similarity == "cosine":
            user_vectors, item_vectors = normalised(user_vectors), normalised(item_vectors)
        scores[part] = (user_vectors * item_vectors).sum(1)
    return scores


def _popularity(listed: NDArray[np.int64], parts: Parts) -> dict[str, Any]:
    counts = parts.train.item_counts
    groups = popularity_groups(counts)
    times_listed = np.bincount(listed, minlength=len(counts))
    assert parts.test is not None

    def shares(weights: NDArray[np.int64]) -> list[float]:
        summed = np.bincount(groups, weights=weights, minlength=GROUPS)
        return [float(each) for each in summed / max(float(summed.sum()), 1.0)]

    return {
        "items": shares(np.ones(len(counts), dtype=np.int64)),
        "test": shares(parts.test.item_counts),
        "listed": shares(times_listed),
        "coverage": float((times_listed > 0).mean()),
        "gini": gini(times_listed),
        "mean_interactions": float(counts[listed].mean()) if len(listed) else 0.0,
    }
