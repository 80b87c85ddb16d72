"""``multimargin export``: the vectors and ids of a run, for an index or another program."""

from pathlib import Path
from typing import Annotated

import typer

from multimargin.cli import output


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that fit wrote, or a saved model.")],
    *,
    to: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write, new or empty.")],
) -> None:
    """Write user and item vectors with their ids as plain files."""
    from multimargin.recipes.run import load

    load(run).export(to)
    for path in sorted(to.iterdir()):
        output.result(str(path))
