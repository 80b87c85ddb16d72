"""``multimargin data``: fetch known sets, check a file before training, describe it in numbers, embed titles."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from multimargin.cli import output
from multimargin.cli.options import JsonOption
from multimargin.errors import DataError

app = typer.Typer(
    help="Fetch known data sets; check and describe files of your own; embed titles.", no_args_is_help=False
)

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder of one log or of parts.")]
UserOption = Annotated[str | None, typer.Option(metavar="COLUMN", help="Users: a name, or a position from 0.")]
ItemOption = Annotated[str | None, typer.Option(metavar="COLUMN", help="Items, likewise.")]
TimestampOption = Annotated[str | None, typer.Option(metavar="COLUMN", help="Times, likewise.")]
WeightOption = Annotated[str | None, typer.Option(metavar="COLUMN", help="Ratings or other weights, likewise.")]
SeparatorOption = Annotated[str | None, typer.Option(help="Between fields, for instance ';' or '\\t'.")]
HeaderOption = Annotated[bool | None, typer.Option("--header/--no-header", help="Does the first line name columns?")]
MinWeightOption = Annotated[float | None, typer.Option(help="Keep interactions of at least this weight.")]


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="gowalla, yelp2018 or amazon-book.")],
    *,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to keep it.")] = None,
) -> None:
    """Download a known data set into the cache, checked by its hash."""
    from multimargin.data import catalogue

    data_set = catalogue.find_data_set(name)
    output.note(f"{name}: {data_set.description}. Terms: {data_set.terms}.")
    output.result(str(catalogue.fetch(name, cache, progress=_progress if sys.stderr.isatty() else None)))


@app.command("check")
def check(
    path: PathArgument,
    *,
    user: UserOption = None,
    item: ItemOption = None,
    timestamp: TimestampOption = None,
    weight: WeightOption = None,
    separator: SeparatorOption = None,
    header: HeaderOption = None,
    min_weight: MinWeightOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what is wrong or suspicious in a file, before anything trains; exit code 2 if something is wrong."""
    from multimargin.data.check import check_data

    findings = check_data(path, **_options(user, item, timestamp, weight, separator, header, min_weight))
    if as_json:
        output.json_result([dataclasses.asdict(finding) for finding in findings])
    else:
        output.result("\n".join(map(str, findings)) or f"{path}: nothing wrong or suspicious was found")
    errors = sum(finding.level == "error" for finding in findings)
    if errors:
        raise DataError(f"{path} must be put right first; errors found: {errors}.")


@app.command("describe")
def describe(
    path: PathArgument,
    *,
    user: UserOption = None,
    item: ItemOption = None,
    timestamp: TimestampOption = None,
    weight: WeightOption = None,
    separator: SeparatorOption = None,
    header: HeaderOption = None,
    min_weight: MinWeightOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print size, density, degrees and time span of a log or of each part."""
    from multimargin.data.describe import describe as describe_data

    description = describe_data(path, **_options(user, item, timestamp, weight, separator, header, min_weight))
    if as_json:
        output.json_result(description.to_dict())
    else:
        output.result(str(description))


@app.command("embed")
def embed(
    titles: Annotated[Path, typer.Argument(metavar="TITLES", help="A table of items: CSV, TSV, .item, Parquet.")],
    *,
    to: Annotated[Path, typer.Option("-o", "--to", metavar="FILE", help="Where to: a .parquet file.")],
    item: Annotated[str | None, typer.Option(metavar="COLUMN", help="Ids, as in the log of interactions.")] = None,
    text: Annotated[str | None, typer.Option(metavar="COLUMN,...", help="Texts, joined by a blank.")] = None,
    separator: SeparatorOption = None,
    encoder: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A folder, or package.module:name; else the installed one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Turn titles into item vectors by a sentence encoder, for negatives=semantic and others that take vectors."""
    from multimargin.texts import embed_items

    items, dimensions = embed_items(
        titles,
        to,
        item=item,
        text=None if text is None else text.split(","),
        separator=None if separator is None else separator.replace("\\t", "\t"),
        encoder=encoder,
        progress=_embedded if sys.stderr.isatty() else None,
    )
    if as_json:
        output.json_result({"file": str(to), "items": items, "dimensions": dimensions})
    else:
        output.result(f"{items:,} vectors of {dimensions} dimensions written to {to}")


def _options(
    user: str | None,
    item: str | None,
    timestamp: str | None,
    weight: str | None,
    separator: str | None,
    header: bool | None,
    min_weight: float | None,
) -> dict[str, Any]:
    columns = {"user": user, "item": item, "timestamp": timestamp, "weight": weight}
    options: dict[str, Any] = {
        role: int(column) if column is not None and column.isdecimal() else column for role, column in columns.items()
    }
    options["separator"] = None if separator is None else separator.replace("\\t", "\t")
    return {**options, "header": header, "min_weight": min_weight}


def _progress(name: str, done: int, total: int | None) -> None:
    sys.stderr.write(f"\r{name}: {done / 2**20:.1f} MiB" + (f" of {total / 2**20:.1f}" if total else ""))
    if done == total:
        sys.stderr.write("\n")


def _embedded(done: int, total: int) -> None:
    sys.stderr.write(f"\r{done:,} of {total:,} texts" + ("\n" if done == total else ""))
