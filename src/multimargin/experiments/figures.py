"""The drawings of a comparison, as SVG; matplotlib, an extra, is loaded when one is drawn.

Colours are Okabe and Ito's, told apart with any kind of colour vision; markers differ too, so that print in black and
white can be read.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from multimargin.experiments.results import Comparison
from multimargin.experiments.significance import interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe, Ito 2008, without yellow, which is hard to see on white
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vPX*<>"
_WIDTH = 9.0  # inches
_GREY = "#666666"
_KINDS = {
    "training": ("training interactions", "#0072B2", "-"),
    "test": ("test interactions", "#009E73", "--"),
    "unseen": ("unseen pairs, at random", "#666666", ":"),
    "listed": ("listed, not in the test data", "#D55E00", "-."),
}
_OUTSIDE = 0.002  # share of the scores of a kind that may lie beyond either end of the axis
_FEW_PAIRS = 15  # drawn all; of more, those with the best method
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Drawing:
    """A figure of the report.

    Args:
        heading: what it shows.
        caption: how to read it, and the protocol of its numbers.
        svg: the element, to stand in a page.
    """

    heading: str
    caption: str
    svg: str


def draw_all(comparison: Comparison) -> list[Drawing]:
    """Return every drawing that the comparison has the numbers for.

    Raises:
        ImportError: matplotlib is not installed.
    """
    drawers: tuple[Callable[[Comparison], Drawing | None], ...] = (
        quality,
        differences,
        learning_curves,
        quality_against_negatives,
        quality_against_time,
        score_distributions,
        user_groups,
        popularity,
    )
    return [drawing for drawing in (draw(comparison) for draw in drawers) if drawing is not None]


def quality(comparison: Comparison) -> Drawing | None:
    """Return each method's metric: every seed a dot, mean and interval."""
    values = comparison.values[comparison.metric].mean(2)  # (M, S)
    n = len(comparison.methods)
    with _figure(0.9 + 0.36 * n) as (figure, svg):
        axes = figure.add_subplot()
        for number in range(n):
            found = interval(values[number])
            axes.plot(values[number], np.full(len(values[number]), number), "|", color=_colour(number), ms=11, mew=1.6)
            half = 0.0 if np.isnan(found.half) else found.half
            axes.errorbar(
                found.mean, number, xerr=half, fmt=_marker(number), color=_colour(number), capsize=4, ms=7, lw=1.6
            )
        _names_on_y(axes, comparison.methods)
        axes.set_xlabel(_measure(comparison))
        seeds = "Strokes are seeds; the mark is their mean" + (
            ", with its 95 % interval." if len(comparison.seeds) > 1 else "."
        )
        return Drawing("Quality, seed by seed", f"{seeds} {_said(comparison)}", svg(figure))


def differences(comparison: Comparison) -> Drawing | None:
    """Return the differences between pairs, with the interval of the test that decides."""
    rows = [row for row in comparison.pairs.to_dicts() if row["metric"] == comparison.metric]
    if len(rows) > _FEW_PAIRS:
        means = comparison.values[comparison.metric].mean((1, 2))
        best = comparison.methods[int(means.argmax())]
        rows = [row for row in rows if best in (row["first"], row["second"])]
    if not rows:
        return None
    rows.sort(key=lambda row: abs(row["difference"]), reverse=True)
    with _figure(1.0 + 0.36 * len(rows)) as (figure, svg):
        axes = figure.add_subplot()
        axes.axvline(0, color="black", linewidth=1)
        names = []
        for number, row in enumerate(rows):
            sign = 1 if row["difference"] >= 0 else -1
            better, worse = (row["first"], row["second"]) if sign > 0 else (row["second"], row["first"])
            names.append(f"{better}  over  {worse}")
            low, high = sorted((sign * row["low"], sign * row["high"])) if row["low"] is not None else (np.nan, np.nan)
            mean, sure = abs(row["difference"]), row["better"] is not None
            colour = _COLOURS[0] if sure else _GREY
            axes.plot([low, high], [number, number], color=colour, lw=2, solid_capstyle="butt")
            axes.plot(mean, number, "o", color=colour, ms=7, mfc=colour if sure else "white", mew=1.6)
        _names_on_y(axes, names)
        axes.set_xlabel(f"difference in {_measure(comparison)}")
        caption = (
            "The better of each pair less the other, with the 95 % interval over users"
            + (" and seeds" if len(comparison.seeds) > 1 else "")
            + ". Filled: the test says that they differ, after Holm's correction; hollow: no difference found. "
        )
        return Drawing("Differences", caption + _said(comparison), svg(figure))


def learning_curves(comparison: Comparison) -> Drawing | None:
    """Return the metric on the data that epochs were chosen on, against epochs and against seconds."""
    metric, drawn = comparison.metric, False
    with _figure(4.0) as (figure, svg):
        by_epoch, by_time = figure.subplots(1, 2, sharey=True)
        for number, method in enumerate(comparison.methods):
            for place, seed in enumerate(comparison.seeds):
                history = comparison.runs[method, seed].history()
                seconds = np.cumsum([float(row.get("train_seconds", 0)) for row in history])
                rows = [
                    (row["epoch"], spent, row[metric])
                    for row, spent in zip(history, seconds, strict=True)
                    if metric in row
                ]
                if not rows:
                    continue
                drawn = True
                epochs, spent, values = map(np.array, zip(*rows, strict=True))
                best = int(values.argmax())
                for axes, x in ((by_epoch, epochs), (by_time, spent)):
                    axes.plot(
                        x, values, color=_colour(number), lw=1.2, alpha=0.75, label=method if place == 0 else None
                    )
                    axes.plot(x[best], values[best], _marker(number), color=_colour(number), ms=5)
        if not drawn:
            return None
        on = "test data" if comparison.protocol == "paper" else "validation data"
        by_epoch.xaxis.get_major_locator().set_params(integer=True)
        by_time.set_xlim(left=0)
        by_epoch.set(xlabel="epoch", ylabel=f"{metric} on {on} ({comparison.protocol})")
        by_time.set_xlabel("seconds of training")
        _legend(figure, comparison)
        caption = f"A line per seed, a mark at the epoch that was kept. {_said(comparison)}"
        return Drawing("Learning curves", caption, svg(figure))


def quality_against_negatives(comparison: Comparison) -> Drawing | None:
    """Return the metric against N, a line for each combination of encoder, loss and sampler."""
    families: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for number, recipe in enumerate(comparison.recipes.values()):
        values = recipe.values
        n = values["n_negatives"]
        if (
            n is not None
            and values["negatives"]["name"] not in ("in-batch", "all")
            and _was_trained(comparison, number)
        ):
            names = tuple(str(values[axis]["name"]) for axis in ("encoder", "loss", "negatives"))
            families.setdefault(names, []).append((int(n), number))
    if all(len({n for n, _ in members}) < 2 for members in families.values()):
        return None
    with _figure(4.2) as (figure, svg):
        axes = figure.add_subplot()
        for place, (names, members) in enumerate(families.items()):
            members.sort()
            found = [interval(comparison.values[comparison.metric][number].mean(1)) for _, number in members]
            half = [0.0 if np.isnan(each.half) else each.half for each in found]
            axes.errorbar(
                [n for n, _ in members],
                [each.mean for each in found],
                yerr=half,
                fmt=_marker(place) + "-",
                color=_colour(place),
                capsize=4,
                label=" + ".join(names),
            )
        axes.set(xscale="log", xlabel="negatives per positive, N", ylabel=_measure(comparison))
        ticks = sorted({n for members in families.values() for n, _ in members})
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.minorticks_off()
        axes.legend()
        caption = "Mean over seeds" + (" with its 95 % interval. " if len(comparison.seeds) > 1 else ". ")
        return Drawing("Quality against the number of negatives", caption + _said(comparison), svg(figure))


def quality_against_time(comparison: Comparison) -> Drawing | None:
    """Return the metric against the training time to the epoch that was kept."""
    costs = comparison.costs["seconds_to_best"].to_list()
    if all(each is None for each in costs):
        return None
    with _figure(4.2) as (figure, svg):
        axes = figure.add_subplot()
        for number, (method, seconds) in enumerate(zip(comparison.methods, costs, strict=True)):
            if seconds is None:
                continue
            found = interval(comparison.values[comparison.metric][number].mean(1))
            half = 0.0 if np.isnan(found.half) else found.half
            axes.errorbar(
                seconds,
                found.mean,
                yerr=half,
                fmt=_marker(number),
                color=_colour(number),
                capsize=4,
                ms=8,
                label=method,
            )
        times = [each for each in costs if each is not None]
        if min(times) > 0 and max(times) > 5 * min(times):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "25" else "")
        else:
            axes.set_xlim(left=0)
        axes.set(xlabel="seconds of training to the epoch that was kept, mean over seeds", ylabel=_measure(comparison))
        _legend(figure, comparison)
        return Drawing("Quality against time", f"Up and to the left is better. {_said(comparison)}", svg(figure))


def score_distributions(comparison: Comparison) -> Drawing | None:
    """Return how scores of several kinds of pairs are spread, against the loss's margins."""
    analyses = {method: each for method, each in comparison.analyses.items() if each["scores"] is not None}
    if not analyses:
        return None
    columns = min(3, len(analyses))
    rows = -(-len(analyses) // columns)
    with _figure(0.7 + 2.5 * rows) as (figure, svg):
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(analyses) :]:
            axes.set_visible(False)
        for axes, (method, analysis) in zip(grid.flat, analyses.items(), strict=False):
            scores = analysis["scores"]
            edges = np.array(scores["edges"])
            for kind, (label, colour, line) in _KINDS.items():
                if kind in scores["kinds"]:
                    counts = np.array(scores["kinds"][kind]["counts"], dtype=float)
                    density = counts / counts.sum() / np.diff(edges)
                    axes.stairs(density, edges, color=colour, label=label, linestyle=line, lw=1.4)
                    axes.stairs(density, edges, color=colour, fill=True, alpha=0.15)
            margins = _margins(comparison.recipes[method].values, str(scores["similarity"]))
            for margin in margins:
                axes.axvline(margin, color="black", linestyle="--", linewidth=1)
            low, high = _ends(scores)
            axes.set_xlim(low, max([high, *margins]) + 0.01 * (high - low))
            axes.set_title(method, fontsize=10)
            axes.set_xlabel("cosine" if scores["similarity"] == "cosine" else "score")
            axes.set_yticks([])
            axes.grid(visible=False, axis="y")
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
        caption = (
            f"First seed ({comparison.protocol} protocol). Heights are densities, each kind of pair on its own. "
            "Dashed: the loss's margins; a negative above them is pushed down. Listed pairs that are not in the test "
            "data are what training should have pushed down, or what nobody has tried yet."
        )
        return Drawing("Scores against margins", caption, svg(figure))


def user_groups(comparison: Comparison) -> Drawing | None:
    """Return the metric for users with few and with many interactions."""
    rows = comparison.groups.to_dicts()
    columns = list(dict.fromkeys((row["interactions"], row["users"]) for row in rows))
    if len(columns) < 2:
        return None
    with _figure(4.2) as (figure, svg):
        axes = figure.add_subplot()
        n = len(comparison.methods)
        for number, method in enumerate(comparison.methods):
            mine = [row for row in rows if row["method"] == method]
            place = np.arange(len(mine)) + (number - (n - 1) / 2) * 0.6 / max(n, 2)
            half = [0.0 if row["low"] is None else (row["high"] - row["low"]) / 2 for row in mine]
            means = [row["mean"] for row in mine]
            axes.errorbar(
                place, means, yerr=half, fmt=_marker(number), color=_colour(number), capsize=3, ms=6, label=method
            )
        axes.set_xticks(range(len(columns)), [f"{name}\n{users:,} users" for name, users in columns])
        axes.grid(visible=False, axis="x")
        axes.set(xlabel="training interactions of the user", ylabel=_measure(comparison))
        _legend(figure, comparison)
        caption = f"Quarters of the users, with 95 % intervals over users. {_said(comparison)}"
        return Drawing("Users with few and many interactions", caption, svg(figure))


def popularity(comparison: Comparison) -> Drawing | None:
    """Return how much of the lists goes to items of each popularity."""
    analyses = comparison.analyses
    if not analyses:
        return None
    with _figure(4.2) as (figure, svg):
        axes = figure.add_subplot()
        tested = next(iter(analyses.values()))["popularity"]["test"]
        axes.bar(range(1, len(tested) + 1), tested, color="#d9d9d9", label="test interactions")
        for number, method in enumerate(comparison.methods):
            if method in analyses:
                listed = analyses[method]["popularity"]["listed"]
                axes.plot(
                    range(1, len(listed) + 1), listed, _marker(number) + "-", color=_colour(number), ms=5, label=method
                )
        ends = {1: "1\nmost popular", len(tested): f"{len(tested)}\nleast"}
        ticks = range(1, len(tested) + 1)
        axes.set_xticks(list(ticks), [ends.get(each, str(each)) for each in ticks])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(visible=False, axis="x")
        axes.set(xlabel="items by popularity", ylabel="share of the places in lists")
        _legend(figure, comparison, extra=("test interactions", "#d9d9d9"))
        caption = (
            f"Items stand in ten groups, each with a tenth of the training interactions. First seed "
            f"({comparison.protocol} protocol). Lists that follow the grey bars are as popular as what users chose."
        )
        return Drawing("Popularity of what is recommended", caption, svg(figure))


def _said(comparison: Comparison) -> str:
    return f"Protocol: {comparison.protocol}."


def _measure(comparison: Comparison) -> str:
    return f"{comparison.metric} on test data ({comparison.protocol})"


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _marker(number: int) -> str:
    return _MARKERS[(number + number // len(_COLOURS)) % len(_MARKERS)]


def _was_trained(comparison: Comparison, number: int) -> bool:
    run = comparison.runs[comparison.methods[number], comparison.seeds[0]]
    return any("loss" in row for row in run.history())


def _margins(values: Mapping[str, Any], similarity: str) -> list[float]:
    """Return the margins of a recipe's loss, if the model's scores are those that it was trained on."""
    loss, theirs = values["loss"] or {}, values["encoder"].get("similarity", "cosine")
    found = loss.get("margins", loss.get("margin")) if theirs == similarity else None
    return (
        [float(each) for each in (found if isinstance(found, list | tuple) else [found])] if found is not None else []
    )


def _ends(scores: dict[str, Any]) -> tuple[float, float]:
    """Return between what the scores of all kinds lie, but for a few of each."""
    edges, low, high = np.array(scores["edges"]), [], []
    for kind in scores["kinds"].values():
        shares = np.cumsum(kind["counts"]) / sum(kind["counts"])
        low.append(edges[np.searchsorted(shares, _OUTSIDE)])
        high.append(edges[np.searchsorted(shares, 1 - _OUTSIDE) + 1])
    return float(min(low)), float(max(high))


def _names_on_y(axes: "Axes", names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first on top
    axes.grid(visible=False, axis="y")


def _legend(figure: "Figure", comparison: Comparison, extra: tuple[str, str] | None = None) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Line2D([], [], color=_colour(number), marker=_marker(number), label=method, ms=6)
        for number, method in enumerate(comparison.methods)
    ]
    if extra is not None:
        handles.append(Patch(color=extra[1], label=extra[0]))
    longest = max(len(str(handle.get_label())) for handle in handles)
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, min(len(handles), 110 // (longest + 8))))


@contextmanager
def _figure(height: float) -> Iterator[tuple["Figure", Callable[["Figure"], str]]]:
    """Hand out a figure in our style, and what turns it into an SVG element."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        yield Figure(figsize=(_WIDTH, height), layout="constrained"), _svg


def _svg(figure: "Figure") -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    element = text.getvalue()
    element = element[element.index("<svg") :]
    # as wide as the page lets it be
    return re.sub(
        r'(<svg[^>]*?) width="[^"]*"',
        r'\1 class="figure"',
        re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1),
        count=1,
    )
