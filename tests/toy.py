"""A toy log and recipe values that train on it in a moment."""

import numpy as np

TINY = ["epochs=2", "n_negatives=5", "encoder.embedding_dim=8", "batch_size=64", "k=[5]", "metric=NDCG@5"]


def embed_letters(texts):
    """A sentence encoder for tests: how often a text has each letter."""
    return np.array([[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])


def write_events(path, *, n_users=40, n_items=25, seed=1):
    """Write a CSV in which users of a parity like items of that parity; ids are text."""
    rng = np.random.default_rng(seed)
    lines = ["user_id,item_id,timestamp"]
    for user in range(n_users):
        own = [item for item in range(n_items) if item % 2 == user % 2]
        lines += [f"u{user:02d},i{item:02d},{1000 + 7 * user + item}" for item in rng.permutation(own)[:8]]
    path.write_text("\n".join(lines) + "\n")
    return path
