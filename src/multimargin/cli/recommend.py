"""``multimargin recommend``: everybody's lists, or some users'."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from multimargin.cli import output

if TYPE_CHECKING:
    import polars as pl


def recommend(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that fit wrote, or a saved model.")],
    *,
    users: Annotated[
        str | None,
        typer.Option(metavar="FILE|ID,...", help="User ids with commas, or a file with one per line [default: all]."),
    ] = None,
    k: Annotated[int, typer.Option(help="Items per list.")] = 10,
    exclude_seen: Annotated[
        bool, typer.Option("--exclude-seen/--no-exclude-seen", help="Leave out what the user already has.")
    ] = True,
    to: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A .parquet, .csv or .jsonl file [default: CSV on stdout]."
        ),
    ] = None,
) -> None:
    """Print or write the best items of each user: user_id, item_id, score, rank."""
    from multimargin.recipes.run import load

    some = None if users is None else ids(users, "user_id")
    output.frames_result(load(run).recommend_blocks(some, k, exclude_seen=exclude_seen), to)


def ids(text: str, column: str) -> "pl.Series":
    """Return the ids that an option spells: those of the file it names, or those between its commas."""
    import polars as pl

    from multimargin.errors import DataError

    path = Path(text)
    if not path.is_file():
        if len(path.parts) > 1 or path.suffix in (".txt", ".csv", ".tsv", ".parquet"):
            raise FileNotFoundError(2, "No such file of ids", text)
        return pl.Series(column, [part.strip() for part in text.split(",") if part.strip()], dtype=pl.String)
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        return frame[column] if column in frame.columns else frame.to_series(0)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeError:
        raise DataError(f"{path} must be text with one id per line; it is not UTF-8.") from None
    return pl.Series(column, [line for line in lines if line and line != column], dtype=pl.String)
