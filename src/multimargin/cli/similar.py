"""``multimargin similar``: items like other items."""

from pathlib import Path
from typing import Annotated

import typer

from multimargin.cli import output
from multimargin.cli.recommend import ids


def similar(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that fit wrote, or a saved model.")],
    *,
    items: Annotated[
        str, typer.Option(metavar="FILE|ID,...", help="Item ids with commas, or a file with one per line.")
    ],
    k: Annotated[int, typer.Option(help="Similar items for each.")] = 10,
    to: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A .parquet, .csv or .jsonl file [default: CSV on stdout]."
        ),
    ] = None,
) -> None:
    """Print or write the items most similar to each given one."""
    from multimargin.recipes.run import load

    output.frames_result([load(run).similar_items(ids(items, "item_id"), k)], to)
