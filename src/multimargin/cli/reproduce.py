"""``multimargin reproduce``: the cells of a published table, run here, beside the numbers that were published."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from multimargin.cli import output
from multimargin.cli.options import JobsOption, JsonOption, SharedThreadsOption


def reproduce(
    table: Annotated[str | None, typer.Argument(metavar="TABLE", help="Which table; --list names them.")] = None,
    *,
    list_tables: Annotated[
        bool, typer.Option("--list", help="List the tables; with TABLE its cells and what is published of them.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A data set's folder, or one that holds gowalla and yelp2018.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="honest, paper (as published: epochs chosen on test data) or both.")] = (
        "both"
    ),
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CELL,...", help="Cells, or parts of their names: --only gowalla-mf-mml-10,ccl"),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="full: as published; short: 24 epochs each; quick: made-up data, to try it.")
    ] = "full",
    seeds: Annotated[int, typer.Option(help="Trainings of each cell.")] = 1,
    to: Annotated[
        Path, typer.Option("-o", "--to", metavar="DIR", help="Where runs and tables go; it resumes there.")
    ] = Path("reproductions"),
    jobs: JobsOption = None,
    threads: SharedThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reproduce a published table: its cells are run, resumably, and shown beside what was published."""
    from multimargin import checks
    from multimargin.errors import CheckpointError
    from multimargin.experiments.reproduce import reproduce as run_table

    patterns = [each.strip() for text in only or [] for each in text.split(",") if each.strip()]
    if list_tables or table is None:
        _list(table, patterns)
        return
    if jobs is not None:
        checks.positive_int("--jobs", jobs)
    checks.choice("--protocol", protocol, ("honest", "paper", "both"))
    called = len(sys.argv) > 1 and sys.argv[1] == "reproduce"
    try:
        found = run_table(
            table,
            data=data,
            protocols=("honest", "paper") if protocol == "both" else (protocol,),
            only=patterns,
            budget=budget,
            seeds=seeds,
            folder=to,
            at_once=jobs,
            threads=threads,
            command=shlex.join(["multimargin", *sys.argv[1:]]) if called else None,
        )
    except KeyboardInterrupt:
        raise output.Interruption("interrupted; the same command goes on from there") from None
    if as_json:
        output.json_result(found.to_dict())
    else:
        output.result(str(found))
        output.result(f"\nTables: {found.folder}")
    if found.failed:
        name, problem = next(iter(found.failed.items()))
        raise CheckpointError(
            f"{name} must finish and failed: {problem} {len(found.failed)} failed; the tables hold the rest."
        )


def _list(table: str | None, only: list[str]) -> None:
    from multimargin import checks
    from multimargin.experiments.cells import choose, tables
    from multimargin.experiments.published import published

    known = tables()
    if table is None:
        rows = [(each.name, f"{len(each.cells)} cells", each.description) for each in known.values()]
        output.result(output.columns(rows))
        return
    chosen = known[checks.choice("table", table, tuple(known))]
    for name in choose(chosen.cells, only):
        told = [
            f"{each.metrics['Recall@20']:.4f} / {each.metrics['NDCG@20']:.4f} ({each.protocol}): {each.source}"
            for each in published().get(name, ())
        ]
        output.result(f"{name}  {'; '.join(told) or 'no published number'}")
