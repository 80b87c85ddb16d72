"""From a CSV to everybody's lists. Run it with ``python examples/own_events.py``, or give it a CSV of your own.

A CSV of yours needs a column for users and one for items; usual names (user_id, userId, movieId, ...) are found out.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import multimargin as mm


def write_events(path: Path) -> Path:
    """Write who bought what: tea drinkers mostly buy tea, coffee drinkers mostly coffee."""
    rng = np.random.default_rng(0)
    lines = ["customer,product"]
    for customer in range(300):
        for other, number in zip(rng.random(12) < 0.05, rng.integers(40, size=12), strict=True):
            lines.append(f"customer-{customer:03d},{('tea', 'coffee')[(customer + other) % 2]}-{number:02d}")
    path.write_text("\n".join(lines) + "\n")
    return path


def main(path: Path, folder: Path) -> None:
    # 1. read: ids may be text or integers; pairs that occur more than once collapse, counted
    events = mm.Interactions.read(path)
    print(events, f"- {events.n_duplicates} repeats left out")
    # 2. split: the best epoch is chosen on valid, the final numbers come from test
    train, valid, test = events.split(mm.RandomPerUser(valid=0.1, test=0.2), rng=0)
    # 3. train
    model = mm.fit(
        train,
        valid=valid,
        encoder=mm.MF(16),
        # low margins and a small weight: the defaults are for tens of thousands of items, of which few are anybody's
        loss=mm.MultiMarginLoss((0.0, 0.4, 0.7), (0.2, 0.3, 0.5), neg_weight=2),
        negatives=mm.UniformNegatives(exclude_seen=True),  # of so few items many a random one would be a positive
        n_negatives=50,
        learning_rate=0.01,
        batch_size=128,
        epochs=20,
        stopping=mm.EarlyStopping(5),
        k=(10,),
        metric="NDCG@10",
        progress=False,
    )
    print(mm.evaluate(model, test, k=10))
    # 4. use: lists for known users, for somebody new, and files that another program can read
    print(model.recommend(events.users.series[0], k=5))
    print(model.recommend_for(events.items.ids(events.items_of(0)[-3:]), k=5))
    model.save(folder / "model")
    rows = mm.load(folder / "model").write_recommendations(folder / "lists.parquet", k=10)
    print(f"{rows:,} rows written to lists.parquet")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        given = Path(sys.argv[1]) if len(sys.argv) > 1 else write_events(Path(temporary) / "events.csv")
        main(given, Path(temporary))
