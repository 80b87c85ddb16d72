"""Size, density, degrees and time span of a log or of each part of a split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimargin.data.interactions import Interactions
from multimargin.data.splits import Split
from multimargin.data.times import as_text

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


@dataclass(frozen=True)
class Degrees:
    """How many interactions users have, or items.

    Args:
        total: how many users (or items) there are.
        idle: how many of them have no interaction; they do not count in ``mean`` and ``quantiles``.
        mean: interactions of one, on average.
        quantiles: (share, interactions) pairs: this share of them has at most so many.
    """

    total: int
    idle: int
    mean: float
    quantiles: tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class PartDescription:
    """One log in numbers.

    Args:
        name: "train", "valid", "test"; or "log", for data that is not split.
        n_interactions: distinct pairs.
        n_duplicates: rows of the source that repeated a pair.
        density: interactions divided by users times items.
        users: degrees of users.
        items: degrees of items.
        first_time: earliest timestamp as in the data, or None.
        last_time: latest timestamp, or None.
        time_span: both as dates where they seem to be moments, or "".
        weights: (least, mean, largest) weight, or None.
    """

    name: str
    n_interactions: int
    n_duplicates: int
    density: float
    users: Degrees
    items: Degrees
    first_time: float | None = None
    last_time: float | None = None
    time_span: str = ""
    weights: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Description:
    """What ``describe`` found; prints as a table.

    Args:
        parts: one per part of the data.
    """

    parts: tuple[PartDescription, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text by part, ready for JSON."""
        return {part.name: _part_to_dict(part) for part in self.parts}

    def __str__(self) -> str:
        return "\n\n".join(_part_to_text(part) for part in self.parts)


def describe(data: Interactions | Split | str | Path, **options: Any) -> Description:
    """Return size, density, degree quantiles, time span and duplicates.

    Args:
        data: a log, a split, or the path of either.
        options: for a path, see ``multimargin.data.readers.read_interactions``.
    """
    if isinstance(data, (str, Path)):
        from multimargin.data.readers import read_any

        data = read_any(data, **options)
    parts = data.parts if isinstance(data, Split) else {"log": data}
    return Description(tuple(_describe_part(name, part) for name, part in parts.items()))


def _describe_part(name: str, log: Interactions) -> PartDescription:
    times, weights = log.timestamps, log.weights
    has_times = times is not None and len(times) > 0
    return PartDescription(
        name=name,
        n_interactions=len(log),
        n_duplicates=log.n_duplicates,
        density=len(log) / max(log.n_users * log.n_items, 1),
        users=_degrees(log.user_counts),
        items=_degrees(log.item_counts),
        first_time=times.min().item() if times is not None and has_times else None,
        last_time=times.max().item() if times is not None and has_times else None,
        time_span=(
            f"{as_text(times.min().item(), like=times)} to {as_text(times.max().item(), like=times)}"
            if times is not None and has_times
            else ""
        ),
        weights=(
            (float(weights.min()), float(weights.mean(dtype=np.float64)), float(weights.max()))
            if weights is not None and len(weights)
            else None
        ),
    )


def _degrees(counts: NDArray[np.int64]) -> Degrees:
    active = np.sort(counts[counts > 0])
    if not len(active):
        return Degrees(len(counts), len(counts), 0.0, ())
    quantiles = np.quantile(active, QUANTILES, method="inverted_cdf")
    pairs = tuple((share, int(count)) for share, count in zip(QUANTILES, quantiles, strict=True))
    return Degrees(len(counts), len(counts) - len(active), float(active.mean()), pairs)


def _part_to_dict(part: PartDescription) -> dict[str, Any]:
    result: dict[str, Any] = {
        "users": part.users.total,
        "items": part.items.total,
        "interactions": part.n_interactions,
        "duplicates": part.n_duplicates,
        "density": part.density,
    }
    for name, degrees in (("per_user", part.users), ("per_item", part.items)):
        quantiles = {f"{share:g}": count for share, count in degrees.quantiles}
        result[name] = {"idle": degrees.idle, "mean": degrees.mean, "quantiles": quantiles}
    if part.first_time is not None:
        result["time"] = {"first": part.first_time, "last": part.last_time, "span": part.time_span}
    if part.weights is not None:
        result["weight"] = dict(zip(("least", "mean", "largest"), part.weights, strict=True))
    return result


def _part_to_text(part: PartDescription) -> str:
    lines = [
        f"{part.name}: {part.n_interactions:,} interactions of "
        f"{part.users.total:,} users and {part.items.total:,} items",
        f"  density      {part.density:.4%}",
        f"  duplicates   {part.n_duplicates:,} dropped",
    ]
    if part.time_span:
        lines.append(f"  time         {part.time_span}")
    if part.weights is not None:
        least, mean, largest = part.weights
        lines.append(f"  weights      {least:g} to {largest:g}, {mean:.3g} on average")
    if part.users.quantiles:
        heads = {0.0: "least", 0.5: "median", 1.0: "most"}
        lines.append(f"  {'':12}{'idle':>9}{'mean':>9}" + "".join(f"{heads.get(q, f'{q:.0%}'):>9}" for q in QUANTILES))
        for name, degrees in (("per user", part.users), ("per item", part.items)):
            cells = "".join(f"{count:>9,}" for _, count in degrees.quantiles)
            lines.append(f"  {name:12}{degrees.idle:>9,}{degrees.mean:>9.1f}{cells}")
    return "\n".join(lines)
