"""``multimargin compare``: recipes over several seeds, side by side, with what is luck and what is not."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from multimargin.cli import output
from multimargin.cli.options import DataOption, JobsOption, JsonOption, SharedThreadsOption


def compare(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE... [KEY=VALUE]...",
            help="Shipped recipes (multimargin list recipes) or .yaml files, and values to change in all of them.",
        ),
    ],
    *,
    data: DataOption = None,
    seeds: Annotated[int, typer.Option(help="How many trainings of each; the split is the same for all.")] = 5,
    protocol: Annotated[
        str, typer.Option(help="honest, or paper: epochs chosen on the test data, as published tables do.")
    ] = "honest",
    metric: Annotated[
        str | None, typer.Option(help="What epochs are chosen by and what is tested [default: the recipes', or NDCG].")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=[...]", help="Try each recipe with each value: --vary n_negatives=[10,100,800]"),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--to",
            metavar="DIR",
            help="Where everything goes [default: comparisons/DATA-PROTOCOL]; it resumes there.",
        ),
    ] = None,
    jobs: JobsOption = None,
    threads: SharedThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare recipes: every one with every seed, on one split; tables, tests and a report come out."""
    from multimargin import checks
    from multimargin.experiments.compare import compare as run_comparison

    if jobs is not None:
        checks.positive_int("--jobs", jobs)
    recipes = [each for each in arguments if "=" not in each]
    overrides = [each for each in arguments if "=" in each]
    try:
        found = run_comparison(
            recipes,
            data=data,
            seeds=seeds,
            protocol=protocol,
            metric=metric,
            overrides=overrides,
            vary=dict(_varied(each) for each in vary or []),
            folder=to,
            at_once=jobs,
            threads=threads,
        )
    except KeyboardInterrupt:
        raise output.Interruption("interrupted; the same command goes on from there") from None
    files = found.write(command=shlex.join(["multimargin", *sys.argv[1:]]) if _called_as_command() else None)
    if as_json:
        output.json_result(found.to_dict())
        return
    output.result(str(found))
    output.result(f"\nReport: {files['report']}")


def _varied(text: str) -> tuple[str, list[Any]]:
    import yaml

    from multimargin.errors import RecipeError

    key, equals, values = text.partition("=")
    try:
        found = yaml.safe_load(values) if equals else None
    except yaml.YAMLError:
        found = None
    if not key.strip() or not isinstance(found, list):
        raise RecipeError(f"--vary must read KEY=[VALUE,...]; got {text!r}. For instance --vary n_negatives=[10,100].")
    return key.strip(), found


def _called_as_command() -> bool:
    return len(sys.argv) > 1 and sys.argv[1] == "compare"
