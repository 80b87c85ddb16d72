"""Data with a known answer: true preferences draw the interactions, so the best possible lists can be computed."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from multimargin import checks
from multimargin.data.interactions import Interactions
from multimargin.data.splits import Split
from multimargin.data.vocabulary import Vocabulary
from multimargin.rng import as_generator

_GENRES = ("jazz", "folk", "punk", "opera", "disco", "blues", "metal", "samba", "techno", "gospel", "reggae", "swing")
_USERS_AT_ONCE = 512


@dataclass(frozen=True)
class Synthetic:
    """Interactions and the truth that they were drawn from.

    Args:
        interactions: what happened.
        user_factors: (U, D) float32.
        item_factors: (I, D) float32; the true score of a pair is the dot product of its two rows.
    """

    interactions: Interactions
    user_factors: NDArray[np.float32]
    item_factors: NDArray[np.float32]

    def scores(self, users: NDArray[np.integer] | None = None) -> NDArray[np.float32]:
        """Return the true scores of user indices ``users``, None for all: (B, I) float32."""
        factors = self.user_factors if users is None else self.user_factors[np.asarray(users)]
        return np.asarray(factors @ self.item_factors.T)

    def best_lists(self, k: int, *, seen: Interactions) -> NDArray[np.int64]:
        """Return the item indices of the best possible list for each user, (U, k) int64, best first.

        A user takes items one after the other, an item with true score s with a chance proportional to exp(s). So an
        item with a higher score is likelier to be among what was held back at random, and no list of unseen items has
        more of that to expect than the k with the highest scores; equal scores stand in the order of their index.

        Args:
            k: length of a list, at most I.
            seen: interactions to leave out, usually the training part; a user who has fewer than k items left gets
                items they have seen at the end of the list.
        """
        k = checks.positive_int("k", k)
        if k > len(self.item_factors):
            checks.fail("k", f"be at most the number of items, {len(self.item_factors)}", k)
        lists = np.empty((len(self.user_factors), k), dtype=np.int64)
        for first in range(0, len(lists), _USERS_AT_ONCE):
            users = np.arange(first, min(first + _USERS_AT_ONCE, len(lists)))
            scores = self.scores(users)
            inside = slice(seen.indptr[users[0]], seen.indptr[users[-1] + 1])
            scores[seen.user_index[inside] - first, seen.indices[inside]] = -np.inf
            lists[users] = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return lists


def make_synthetic(
    n_users: int = 2_000,
    n_items: int = 1_000,
    *,
    embedding_dim: int = 8,
    mean_interactions: float = 40.0,
    popularity_exponent: float = 0.7,
    taste_strength: float = 4.0,
    rng: int | np.random.Generator = 0,
) -> Synthetic:
    """Return users who each draw distinct items with chances proportional to exp(true score).

    A true score is ``taste_strength * cos(user, item) + log popularity``. Items belong to genres and lie near their
    genre's direction; users lie between one or two genres. Item ids tell the genre ("jazz-0042"), user ids are
    "user-0017".

    Args:
        n_users: U, 1 or more.
        n_items: I, 2 or more.
        embedding_dim: D of the tastes, 1 or more; the factors have one column more, for popularity.
        mean_interactions: items that a user draws on average, above 0; counts are geometric, from 2 to half of I.
        popularity_exponent: the r-th most popular item has popularity ``r ** -exponent``, 0 or more; 0 for none.
        taste_strength: weight of taste against popularity and chance, 0 or more.
        rng: a seed, whose stream "synthetic" is used, or a generator.
    """
    n_users = checks.positive_int("n_users", n_users)
    n_items = checks.at_least("n_items", n_items, 2)
    embedding_dim = checks.positive_int("embedding_dim", embedding_dim)
    checks.positive("mean_interactions", mean_interactions)
    checks.not_negative("popularity_exponent", popularity_exponent)
    checks.not_negative("taste_strength", taste_strength)
    generator = as_generator(rng, "synthetic")

    genres = _unit(generator.standard_normal((len(_GENRES), embedding_dim)))
    genre = generator.integers(len(_GENRES), size=n_items)
    items = _unit(genres[genre] + 0.5 * generator.standard_normal((n_items, embedding_dim)) / np.sqrt(embedding_dim))
    liked = generator.integers(len(_GENRES), size=(n_users, 2))
    share = generator.uniform(0.5, 1.0, size=(n_users, 1))
    users = share * genres[liked[:, 0]] + (1 - share) * genres[liked[:, 1]]
    users = _unit(users + 0.3 * generator.standard_normal(users.shape) / np.sqrt(embedding_dim))
    log_popularity = -popularity_exponent * np.log(generator.permutation(n_items) + 1.0)

    user_factors = np.hstack([taste_strength * users, np.ones((n_users, 1))]).astype(np.float32)
    item_factors = np.hstack([items, log_popularity[:, None]]).astype(np.float32)
    counts = generator.geometric(1 / max(mean_interactions - 1, 1), size=n_users) + 1
    counts = np.clip(counts, min(2, n_items), max(n_items // 2, 1))
    pairs = _draw(user_factors, item_factors, counts, generator)
    width = max(4, len(str(max(n_users, n_items) - 1)))
    interactions = Interactions.from_pairs(
        np.repeat(np.arange(n_users), counts),
        pairs,
        Vocabulary(pl.Series([f"user-{index:0{width}d}" for index in range(n_users)]), kind="user"),
        Vocabulary(pl.Series([f"{_GENRES[genre[index]]}-{index:0{width}d}" for index in range(n_items)]), kind="item"),
    )
    return Synthetic(interactions, user_factors, item_factors)


def make_blocks(
    n_blocks: int = 4,
    users_per_block: int = 25,
    items_per_block: int = 10,
    *,
    held_out: int = 1,
    rng: int | np.random.Generator = 0,
) -> Split:
    """Return data whose best lists are known by construction: each user touches the items of one block and no others.

    Of the items of their block, each user has ``held_out``, drawn at random, in the test part and the others in train.
    So the right list of unseen items for a user begins with exactly those of the test part: whoever has learnt the
    blocks has a Recall@held_out of 1. All items are about equally popular, so popularity is of no help.

    Args:
        n_blocks: blocks, 2 or more.
        users_per_block: users of each, 1 or more.
        items_per_block: items of each, more than ``held_out``.
        held_out: items of each user in the test part, 1 or more.
        rng: a seed, whose stream "synthetic" is used, or a generator.
    """
    n_blocks = checks.at_least("n_blocks", n_blocks, 2)
    users_per_block = checks.positive_int("users_per_block", users_per_block)
    held_out = checks.positive_int("held_out", held_out)
    items_per_block = checks.at_least("items_per_block", items_per_block, held_out + 1)
    n_users = n_blocks * users_per_block
    block = np.repeat(np.arange(n_blocks), users_per_block)
    orders = as_generator(rng, "synthetic").permuted(np.tile(np.arange(items_per_block), (n_users, 1)), axis=1)
    items = block[:, None] * items_per_block + orders  # (U, items_per_block)
    users = Vocabulary(pl.Series([f"user-{index:04d}" for index in range(n_users)]), kind="user")
    names = [f"block-{index // items_per_block}-{index:04d}" for index in range(n_blocks * items_per_block)]
    vocabulary = Vocabulary(pl.Series(names), kind="item")

    def part(columns: NDArray[np.int64]) -> Interactions:
        return Interactions.from_pairs(
            np.repeat(np.arange(n_users), columns.shape[1]), columns.ravel(), users, vocabulary
        )

    return Split(part(items[:, held_out:]), None, part(items[:, :held_out]))


def _draw(
    user_factors: NDArray[np.float32],
    item_factors: NDArray[np.float32],
    counts: NDArray[np.int64],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Return each user's distinct items in one flat array.

    The largest of score + Gumbel noise are what drawing one after the other with chances proportional to exp(score)
    gives (Kool, van Hoof, Welling 2019, arXiv 1903.06059).
    """
    drawn = []
    most = int(counts.max())
    for first in range(0, len(counts), _USERS_AT_ONCE):
        block = slice(first, first + _USERS_AT_ONCE)
        scores = user_factors[block] @ item_factors.T
        keys = scores - np.log(generator.standard_exponential(scores.shape, dtype=np.float32))
        top = np.argpartition(-keys, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(keys, top, axis=1), axis=1)
        top = np.take_along_axis(top, order, axis=1)
        drawn.append(top[np.arange(most) < counts[block, None]])
    return np.concatenate(drawn)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
