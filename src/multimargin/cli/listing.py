"""``multimargin list``: what there is to choose from."""

from typing import TYPE_CHECKING, Annotated

import typer

from multimargin import checks
from multimargin.cli import output

if TYPE_CHECKING:
    from multimargin.recipes.entries import Entry

KINDS = ("losses", "negatives", "encoders", "splits", "datasets", "recipes")


def list_names(
    kind: Annotated[str, typer.Argument(metavar="|".join(KINDS), help="What to list.")],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object: name to description and, of an axis, needs and source.")
    ] = False,
) -> None:
    """List losses, negative samplers, encoders, splits, known data sets or shipped recipes, a line or two each."""
    from multimargin.recipes import entries
    from multimargin.recipes.recipe import describe

    checks.choice("list", kind, KINDS)
    if kind not in entries.KINDS:
        found = describe(kind)
        if as_json:
            output.json_result({name: {"description": line} for name, line in found.items()})
        else:
            output.result(output.columns(found.items()))
        return
    members = entries.entries(kind)
    if as_json:
        output.json_result({each.name: _facts(each) for each in members})
        return
    width = max(len(each.name) for each in members)
    for each in members:
        output.result(f"{each.name.ljust(width)}  {each.summary}")
        needs = f"needs {', '.join(each.needs)}; " if each.needs else ""
        output.result(" " * (width + 2) + f"{needs}from {each.source.partition(';')[0]}")


def _facts(entry: "Entry") -> dict[str, object]:
    return {
        "description": entry.summary, "needs": entry.needs, "source": entry.source, "family": entry.family,
        "use": entry.use,
    }  # fmt: skip
