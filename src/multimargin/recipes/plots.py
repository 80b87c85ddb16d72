"""Plots of a run; matplotlib, an extra, is loaded when one is drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from multimargin.recipes.recipe import Recipe
from multimargin.recipes.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 120


def learning_curve(run: Run, recipe: Recipe) -> Path | None:
    """Draw loss and chosen metric over epochs into the run's ``plots/learning-curve.svg``.

    Returns:
        The file, or None if the run has no epoch yet.

    Raises:
        ImportError: matplotlib is not installed.
    """
    history = run.history()
    figure = _figure()
    metric = recipe.values["metric"]
    if not history:
        return None
    loss_axes = figure.add_subplot()
    loss_axes.plot([row["epoch"] for row in history], [row["loss"] for row in history], color="tab:gray")
    loss_axes.set(xlabel="epoch", ylabel="training loss", title=f"{recipe.name} ({recipe.values['protocol']} protocol)")
    evaluated = [row for row in history if metric in row]
    if evaluated:
        metric_axes = loss_axes.twinx()
        metric_axes.plot([row["epoch"] for row in evaluated], [row[metric] for row in evaluated], color="tab:blue")
        on = "test" if recipe.values["protocol"] == "paper" else "validation"
        metric_axes.set_ylabel(f"{metric} ({recipe.values['protocol']}, {on} data)", color="tab:blue")
    return _save(figure, run.path / "plots" / "learning-curve.svg")


def score_distributions(
    path: Path, scores: dict[str, NDArray[np.floating[Any]]], margins: Sequence[float], *, title: str
) -> Path:
    """Draw how the scores of several kinds of pairs are spread, against the margins.

    Args:
        path: .svg or .png file to write.
        scores: for each kind of pair, its scores, any number of them.
        margins: the loss's margins.
        title: headline.

    Returns:
        ``path``.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = _figure()
    axes = figure.add_subplot()
    low = min(float(values.min()) for values in scores.values())
    high = max(1.0, *(float(values.max()) for values in scores.values()))
    edges = np.linspace(low, high, _BINS + 1)
    for kind, values in scores.items():
        axes.hist(
            values,
            bins=edges.tolist(),
            density=True,
            histtype="stepfilled",
            alpha=0.5,
            label=f"{kind} ({len(values):,})",
        )
    for number, margin in enumerate(margins):
        axes.axvline(margin, color="black", linestyle="--", linewidth=1, label="margins" if number == 0 else None)
    axes.set(xlabel="score (cosine)", ylabel="density", yscale="log", title=title)
    axes.legend()
    return _save(figure, path)


def _figure() -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(8, 4.5), layout="constrained")


def _save(figure: "Figure", path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        figure.savefig(temporary, format=path.suffix.removeprefix("."))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
