"""``multimargin evaluate``: a run's numbers on its test data, or on data of your own."""

from pathlib import Path
from typing import Annotated

import typer

from multimargin.cli import output
from multimargin.cli.options import JsonOption


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that fit wrote.")],
    *,
    data: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The run's data where it lies now, or other held-out interactions."),
    ] = None,
    k: Annotated[str | None, typer.Option(metavar="K,...", help="Cut-offs [default: the recipe's].")] = None,
    as_json: JsonOption = False,
) -> None:
    """Rank all items for every user with held-out items, seen items excluded, and print the metrics."""
    from multimargin.recipes.evaluate import evaluate_run

    evaluation = evaluate_run(run, data=data, k=None if k is None else cut_offs(k))
    if as_json:
        output.json_result(evaluation.to_dict())
    else:
        output.result(str(evaluation))


def cut_offs(text: str) -> tuple[int, ...]:
    """Return the cut-offs that ``20,50`` spells."""
    from multimargin import checks

    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not part.isdecimal() or int(part) < 1:
            checks.fail("--k", "be whole numbers of 1 or more, with commas", text, "For instance --k 20,50.")
    return tuple(sorted({int(part) for part in parts}))
