"""Published numbers of the cells that recipes reproduce, each with where it stands: ``published.csv``, one line each.

The tables of MML's own paper are not among them: its code came without outputs, and they could not be checked against
a source.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("published.csv")
METRICS = ("Recall@20", "NDCG@20", "Recall@50", "NDCG@50")
COLUMNS = ("cell", *METRICS, "protocol", "source")


@dataclass(frozen=True)
class Published:
    """What somebody printed for one cell.

    Args:
        metrics: metric -> value, those that are printed.
        protocol: how they chose the epoch; "paper" for all so far: on the test data.
        source: repository and commit, or page.
    """

    metrics: Mapping[str, float]
    protocol: str
    source: str


@cache
def published() -> Mapping[str, tuple[Published, ...]]:
    """Return cell -> what is published of it; the first is the run whose settings the recipe has.

    Example:
        >>> published()["gowalla-mf-ccl-800"][0].metrics["Recall@20"]
        0.1837
    """
    found: dict[str, tuple[Published, ...]] = {}
    with FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            metrics = {name: float(row[name]) for name in METRICS if row[name]}
            one = Published(metrics, row["protocol"], row["source"])
            found[row["cell"]] = (*found.get(row["cell"], ()), one)
    return found
