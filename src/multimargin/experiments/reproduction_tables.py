"""A reproduction in Markdown: every table says protocol, budget, and where its runs depart from published settings."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from multimargin.experiments.budgets import BUDGETS
from multimargin.experiments.cells import GRID_LOSSES
from multimargin.experiments.published import published
from multimargin.experiments.significance import LEVEL
from multimargin.experiments.tables import p_value, pipe_table

if TYPE_CHECKING:
    from multimargin.experiments.reproduction import Reproduction

_PROTOCOLS = {
    "honest": "Protocol **honest**: trained without a tenth of each user's training items, epochs chosen on it, test "
    "data read once. The published numbers were chosen on the test data: a difference from them holds that too.",
    "paper": "Protocol **paper**: epochs chosen on the test data, as in the published runs. Compare with such only.",
}


def markdown(reproduction: "Reproduction") -> str:
    """Return everything that is said in words and numbers."""
    table, protocols = reproduction.table, " and ".join(reproduction.protocols)
    blocks = [
        f"# {table.name}: {table.description}; protocol {protocols}, budget {reproduction.budget}",
        "\n".join(f"- {note}" for note in reproduction.notes),
    ]
    for data in reproduction.data:
        for protocol in reproduction.protocols:
            blocks += _numbers(reproduction, data, protocol)
            blocks += _by_negatives(reproduction, data, protocol)
    blocks += ["## Settings", "\n".join(_settings(reproduction)), "## Published", "\n".join(_sources(reproduction))]
    if reproduction.command is not None:
        blocks.append(f"Made by:\n\n```\n{reproduction.command}\n```")
    return "\n\n".join(block for block in blocks if block)


def _numbers(reproduction: "Reproduction", data: str, protocol: str) -> list[str]:
    """Return the table of ours beside published numbers."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in reproduction.results.to_dicts():
        if (row["data"], row["protocol"]) == (data, protocol):
            found.setdefault(row["cell"], {})[row["metric"]] = row
    if not found:
        return []
    headings, cells = ["cell"], list[list[str]]()
    for metric in ("Recall@20", "NDCG@20"):
        headings += [f"{metric} ({protocol})", "published (paper)", "difference"]
    headings += ["epochs (best)", "s per epoch"]
    for name, metrics in found.items():
        line = [name]
        for metric in ("Recall@20", "NDCG@20"):
            row = metrics[metric]
            spread = "" if row["low"] is None else f" ± {(row['high'] - row['low']) / 2:.4f}"
            line += [f"{row['mean']:.4f}{spread}", _number(row["published"], ".4f"), _number(row["difference"], "+.4f")]
        row = metrics["Recall@20"]
        best = "" if row["best_epoch"] is None else f" ({row['best_epoch']:.0f})"
        cells.append([*line, f"{row['epochs']:.0f}{best}", _number(row["seconds_per_epoch"], ".2f")])
    below = _below(reproduction, protocol, list(found))
    if reproduction.seeds > 1:
        below = f"± is half of the 95 % interval over {reproduction.seeds} seeds. {below}"
    heading = f"## {data}, {protocol} protocol, budget {reproduction.budget}"
    return [heading, pipe_table(headings, cells), below]


def _by_negatives(reproduction: "Reproduction", data: str, protocol: str) -> list[str]:
    """Return, for each encoder, losses by number of negatives, and what MML gains."""
    rows = [
        row
        for row in reproduction.results.to_dicts()
        if (row["data"], row["protocol"], row["metric"]) == (data, protocol, "Recall@20")
        and row["loss"] in GRID_LOSSES
        and row["n_negatives"].isdigit()
    ]
    gains = reproduction.gains.to_dicts()
    blocks = []
    for encoder in dict.fromkeys(row["encoder"] for row in rows):
        mine = [row for row in rows if row["encoder"] == encoder]
        numbers = sorted({int(row["n_negatives"]) for row in mine})
        of_gains = [row for row in gains if (row["data"], row["protocol"], row["encoder"]) == (data, protocol, encoder)]
        losses = [loss for loss in GRID_LOSSES if any(row["loss"] == loss for row in mine)]
        if len(losses) < 2 or not (len(numbers) > 1 or of_gains):
            continue
        values = {(row["loss"], int(row["n_negatives"])): f"{row['mean']:.4f}" for row in mine}
        cells = [[loss, *(values.get((loss, n), "-") for n in numbers)] for loss in losses]
        told = {(row["other"], row["n_negatives"]): _gain(row) for row in of_gains}
        others = [loss for loss in losses if any(other == loss for other, _ in told)]
        cells += [[f"mml over {loss}", *(told.get((loss, n), "-") for n in numbers)] for loss in others]
        below = _below(reproduction, protocol, [row["cell"] for row in mine])
        where = f"{data}, {encoder}, {protocol} protocol, budget {reproduction.budget}"
        blocks += [
            f"## Recall@20 by number of negatives: {where}",
            pipe_table([f"loss ({protocol})", *(f"N = {n}" for n in numbers)], cells),
            " ".join([*([_tests(reproduction.seeds)] if others else []), below]),
        ]
    return blocks


def _gain(row: dict[str, Any]) -> str:
    percent = "-" if row["percent"] is None else f"{row['percent']:+.1f} %"
    return f"**{percent}**" if row["p"] is not None and row["p"] < LEVEL else f"{percent} (p {p_value(row['p'])})"


def _tests(seeds: int) -> str:
    over = "users" if seeds == 1 else "users and seeds"
    return (
        f"MML over another: in bold where a paired t-test over {over}, corrected by Holm over all such pairs of this "
        f"protocol, is below {LEVEL:g}; MML's published negatives weigh more than CCL's, so this is not the effect of "
        "several margins alone."
    )


def _below(reproduction: "Reproduction", protocol: str, names: Sequence[str]) -> str:
    """Return protocol, budget and departures of a table's cells."""
    departures: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        departures.setdefault(tuple(reproduction.deviations[name]), []).append(name)
    lines = [
        f"- {_listed(cells, names)}: {'; '.join(changes) if changes else 'nothing'}"
        for changes, cells in departures.items()
    ]
    told = f"{_PROTOCOLS[protocol]} Budget **{BUDGETS[reproduction.budget].replace(':', '**:', 1)}."
    return "\n".join([f"{told} What differs from the settings below:", "", *lines])


def _settings(reproduction: "Reproduction") -> Iterable[str]:
    remarks: dict[str, list[str]] = {}
    for name, cell in reproduction.cells.items():
        remarks.setdefault(cell.remark, []).append(name)
    for remark, cells in remarks.items():
        yield f"- {_listed(cells, ())}: {remark}"


def _sources(reproduction: "Reproduction") -> Iterable[str]:
    """Return where published numbers stand, and that there are none where there are none."""
    without = []
    for name in reproduction.cells:
        for each in published().get(name, ()):
            values = ", ".join(f"{metric} {value:.4f}" for metric, value in each.metrics.items())
            yield f"- {name}: {values} ({each.protocol} protocol): {each.source}."
        if name not in published():
            without.append(name)
    if without:
        yield (
            f"- No number that could be checked against a source: {_listed(without, ())}. MML's own tables are not "
            "among the sources: its code came without outputs."
        )


def _listed(cells: Sequence[str], every: Sequence[str]) -> str:
    return "all" if len(cells) > 1 and list(cells) == list(every) else ", ".join(cells)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
