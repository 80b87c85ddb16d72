"""Options that mean the same in several commands."""

from typing import Annotated

import typer

DataOption = Annotated[str | None, typer.Option(metavar="PATH", help="A file, a folder of parts, or a known set.")]
JobsOption = Annotated[
    int | None, typer.Option(help="Trainings at a time [default: as many as cores and memory allow].")
]
SharedThreadsOption = Annotated[int | None, typer.Option(help="Threads to share between them [default: all].")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
