"""A comparison in Markdown: what people paste into a paper, an issue or a README."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from multimargin.experiments.significance import FLIPS, LEVEL

if TYPE_CHECKING:
    from multimargin.experiments.results import Comparison

_SHOWN = ("Recall", "NDCG")

Cells = list[list[str]]


def markdown(comparison: "Comparison", *, command: str | None = None) -> str:
    """Return everything that is said in words and numbers."""
    blocks = [f"# {title(comparison)}", f"{about(comparison)}"]
    for heading, headings, rows, below in sections(comparison):
        blocks += [f"## {heading}", pipe_table(headings, rows), below]
    blocks += ["## Notes", "\n".join(f"- {note}" for note in comparison.notes)]
    if command is not None:
        blocks.append(f"Made by:\n\n```\n{command}\n```")
    return "\n\n".join(block for block in blocks if block)


def title(comparison: "Comparison") -> str:
    """Return the headline; the protocol is in it."""
    name = str(comparison.settings["data"]).rstrip("/").rpartition("/")[2]
    return f"{len(comparison.methods)} methods on {name}, {comparison.protocol} protocol"


def about(comparison: "Comparison") -> str:
    """Return what all numbers share, in a paragraph."""
    s = comparison.settings
    split = ", ".join(f"{key} {value}" for key, value in s["split"].items() if key != "name" and value is not None)
    seeds = f"{len(comparison.seeds)} seeds" if len(comparison.seeds) > 1 else "one seed"
    return (
        f"{s['interactions']:,} training interactions of {s['users']:,} users with {s['items']:,} items; split "
        f"{s['split']['name']}{f' ({split})' if split else ''}, the same for every run; {seeds} for initial weights, "
        f"order and negatives; {len(comparison.users):,} users measured, full ranking, seen items excluded; epochs "
        f"chosen by {comparison.metric}; protocol: **{comparison.protocol}**."
    )


def sections(comparison: "Comparison") -> list[tuple[str, list[str], Cells, str]]:
    """Return the tables: heading, column heads, cells, and what to know below it."""
    word = comparison.protocol
    several = len(comparison.seeds) > 1
    over = f"{len(comparison.seeds)} seeds" if several else "users"
    quality = (
        f"Mean, ± half of the 95 % interval over {over}; the best of each column in bold. Intervals are each method's "
        "own: whether two differ, the tests below say."
    )
    tests = (
        f"First less second in {comparison.metric} ({word}), and the share of users for whom the first is better and "
        "worse. p: paired t-test over users, sign-flip test over users "
        f"({FLIPS:,} patterns), paired t-test over seeds, and over both, which decides at {LEVEL:g}; each corrected by "
        "Holm over the pairs. The interval is the widest of those tests', uncorrected. Unclear: it may be luck."
    )
    costs = "Means over runs; memory is the most of any run, the whole process. Runs may have shared the machine."
    found = [(f"Quality ({word} protocol)", *_quality(comparison), quality)]
    if len(comparison.methods) > 1:
        found.append((f"Which differ ({word} protocol)", *_tests(comparison), tests))
    found.append(("What it costs", *_costs(comparison), costs))
    found.append(
        (
            f"Users with few and many interactions ({word} protocol)",
            *_groups(comparison),
            f"{comparison.metric} by the number of training interactions, ± half of the 95 % interval over users.",
        )
    )
    if comparison.analyses:
        found.append(
            (
                "What is recommended",
                *_popularity(comparison),
                "First seed's lists. Coverage: share of the items in any list. Gini: 0 where all items are listed as "
                "often, near 1 where few are. Head: share of the places that go to the most popular items, "
                "which hold a tenth of the training interactions.",
            )
        )
    return found


def pipe_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table in aligned columns; numbers, all but the first column, to the right."""
    body = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(row[place]) for row in body) for place in range(len(headings))]
    lines = [
        "| "
        + " | ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in body
    ]
    rule = "|" + "|".join(
        "-" * (width + 2) if place == 0 else "-" * (width + 1) + ":" for place, width in enumerate(widths)
    )
    return "\n".join([lines[0], rule + "|", *lines[1:]])


def p_value(p: float | None) -> str:
    """Return p as people read it."""
    return "-" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _shown(comparison: "Comparison") -> list[str]:
    return [name for name in comparison.values if name.partition("@")[0] in _SHOWN or name == comparison.metric]


def _quality(comparison: "Comparison") -> tuple[list[str], Cells]:
    metrics = _shown(comparison)
    rows = {(row["method"], row["metric"]): row for row in comparison.summary.to_dicts()}
    low, high = ("low", "high") if len(comparison.seeds) > 1 else ("low_over_users", "high_over_users")
    best = {metric: max(rows[method, metric]["mean"] for method in comparison.methods) for metric in metrics}
    cells = []
    for method in comparison.methods:
        line = [method]
        for metric in metrics:
            row = rows[method, metric]
            number = f"{row['mean']:.4f}"
            number = f"**{number}**" if row["mean"] == best[metric] and len(comparison.methods) > 1 else number
            line.append(f"{number} ± {(row[high] - row[low]) / 2:.4f}" if row[low] is not None else number)
        cells.append(line)
    return ["method", *(f"{metric} ({comparison.protocol})" for metric in metrics)], cells


def _tests(comparison: "Comparison") -> tuple[list[str], Cells]:
    headings = ["first", "second", "difference", "95 % interval", "better / worse for", "p users", "p flips"]
    headings += ["p seeds", "p both", "better"] if len(comparison.seeds) > 1 else ["better"]
    cells = []
    for row in comparison.pairs.to_dicts():
        if row["metric"] != comparison.metric:
            continue
        spread = f"{row['low']:+.4f} to {row['high']:+.4f}" if row["low"] is not None else "-"
        percent = "" if row["percent"] is None else f" ({row['percent']:+.1f} %)"
        line = [row["first"], row["second"], f"{row['difference']:+.4f}{percent}", spread]
        line += [f"{row['wins']:.0%} / {row['losses']:.0%}", p_value(row["p_users"]), p_value(row["p_flips"])]
        line += [p_value(row["p_seeds"]), p_value(row["p"])] if len(comparison.seeds) > 1 else []
        cells.append([*line, row["better"] or "unclear"])
    return headings, cells


def _costs(comparison: "Comparison") -> tuple[list[str], Cells]:
    shown = {
        "parameters": ("parameters", "{:,.0f}"),
        "epochs": ("epochs", "{:.0f}"),
        "best_epoch": ("best epoch", "{:.0f}"),
        "seconds_per_epoch": ("s per epoch", "{:.2f}"),
        "seconds_to_best": ("s to best epoch", "{:.1f}"),
        "training_seconds": ("s in all", "{:.1f}"),
        "peak_memory_mib": ("memory, MiB", "{:,.0f}"),
    }
    rows = [
        [row["method"], *(_number(row[name], form) for name, (_, form) in shown.items())]
        for row in comparison.costs.to_dicts()
    ]
    return ["method", *(heading for heading, _ in shown.values())], rows


def _groups(comparison: "Comparison") -> tuple[list[str], Cells]:
    rows = comparison.groups.to_dicts()
    columns = list(dict.fromkeys((row["interactions"], row["users"]) for row in rows))
    cells = []
    for method in comparison.methods:
        line = [method]
        for row in rows:
            if row["method"] == method:
                half = f" ± {(row['high'] - row['low']) / 2:.4f}" if row["low"] is not None else ""
                line.append(f"{row['mean']:.4f}{half}")
        cells.append(line)
    return ["method", *(f"{interactions} ({users:,} users)" for interactions, users in columns)], cells


def _popularity(comparison: "Comparison") -> tuple[list[str], Cells]:
    rows = []
    for method, each in comparison.analyses.items():
        found = each["popularity"]
        rows.append(
            [
                method,
                f"{found['coverage']:.1%}",
                f"{found['gini']:.3f}",
                f"{found['listed'][0]:.1%}",
                f"{found['mean_interactions']:,.0f}",
            ]
        )
    return ["method", "coverage", "Gini", "head", "mean interactions of a listed item"], rows


def _number(value: Any, form: str) -> str:
    return "-" if value is None else form.format(value)
