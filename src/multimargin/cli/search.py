"""``multimargin search``: settings of recipes, tried on validation data with equal budgets."""

from pathlib import Path
from typing import Annotated

import typer

from multimargin.cli import output
from multimargin.cli.options import DataOption, JobsOption, JsonOption, SharedThreadsOption


def search(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE... [KEY=VALUE]...",
            help="Shipped recipes (multimargin list recipes) or .yaml files, and values to change in all of them, "
            "which are not searched then.",
        ),
    ],
    *,
    data: DataOption = None,
    trials: Annotated[
        int, typer.Option(help="How many settings of each recipe; the first is the recipe as it is.")
    ] = 30,
    metric: Annotated[
        str | None, typer.Option(help="What trials are judged by [default: the recipes', or NDCG].")
    ] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            metavar="KEY=LOW:HIGH[:log]",
            help="Where to search, in place of what the recipe's classes declare or besides; or KEY=a,b,c",
        ),
    ] = None,
    protocol: Annotated[str, typer.Option(help="honest: a search on the test data, paper, is refused.")] = "honest",
    to: Annotated[
        Path | None,
        typer.Option(
            "-o", "--to", metavar="DIR", help="Where everything goes [default: searches/DATA]; it resumes there."
        ),
    ] = None,
    jobs: JobsOption = None,
    threads: SharedThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search settings: every recipe with as many trials, on validation data; the best recipes come out as files."""
    from multimargin import checks
    from multimargin.experiments.search import search as run_search

    if jobs is not None:
        checks.positive_int("--jobs", jobs)
    try:
        found = run_search(
            [each for each in arguments if "=" not in each],
            data=data,
            trials=trials,
            metric=metric,
            overrides=[*(each for each in arguments if "=" in each), f"protocol={protocol}"],
            ranges=ranges or [],
            folder=to,
            at_once=jobs,
            threads=threads,
        )
    except KeyboardInterrupt:
        raise output.Interruption("interrupted; the same command goes on from there") from None
    if as_json:
        output.json_result(found.to_dict())
    else:
        output.result(str(found))
