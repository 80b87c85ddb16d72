"""``multimargin list``: what there is to choose from."""

from typing import Annotated

import typer

from multimargin import checks
from multimargin.cli import output

KINDS = ("losses", "negatives", "encoders", "splits", "datasets", "recipes")


def list_names(
    kind: Annotated[str, typer.Argument(metavar="|".join(KINDS), help="What to list.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object of names and descriptions.")] = False,
) -> None:
    """List losses, negative samplers, encoders, splits, known data sets or shipped recipes: name and one line."""
    from multimargin.recipes.recipe import describe

    checks.choice("list", kind, KINDS)
    found = describe(kind)
    if as_json:
        output.json_result(found)
    else:
        output.result(output.columns(found.items()))
