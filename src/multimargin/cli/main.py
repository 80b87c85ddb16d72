"""Where the command starts: it gathers the commands and turns errors into one line and an exit code."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from multimargin.cli import (
    compare,
    data,
    demo,
    evaluate,
    export,
    fit,
    listing,
    output,
    recommend,
    reproduce,
    search,
    similar,
)
from multimargin.errors import MultiMarginError

_BAD_INPUT = 2
_INTERRUPTED = 130

app = typer.Typer(
    name="multimargin",
    help="Top-N recommendation from implicit feedback. Start with: multimargin demo",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("list")(listing.list_names)
app.add_typer(data.app, name="data")
app.command("fit")(fit.fit)
app.command("compare")(compare.compare)
app.command("search")(search.search)
app.command("reproduce")(reproduce.reproduce)
app.command("evaluate")(evaluate.evaluate)
app.command("recommend")(recommend.recommend)
app.command("similar")(similar.similar)
app.command("export")(export.export)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """Top-N recommendation from implicit feedback. Start with: multimargin demo"""
    if version:
        from multimargin import __version__

        output.result(__version__)
    elif context.invoked_subcommand is None:
        output.result(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process: 0 done, 2 bad input in one line on stderr, 130 interrupted."""
    sys.path.append(str(Path.cwd()))  # where a recipe's package.module:Class is looked for last
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; unexpected exceptions, our own faults, pass through."""
    output.log_to_stderr()
    try:
        code = app(list(arguments), prog_name="multimargin", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our results has gone: head, less
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (output.Interruption, KeyboardInterrupt, typer.Abort) as interruption:
        output.error(str(interruption) or "interrupted")
        return _INTERRUPTED
    except MultiMarginError as problem:
        output.error(str(problem))
        return _BAD_INPUT
    except OSError as problem:
        output.error(_describe(problem))
        return _BAD_INPUT
    except Exception as problem:
        if not hasattr(problem, "format_message"):  # what typer raises for bad usage, wherever its classes live
            raise
        output.error(f"{problem.format_message()} See multimargin --help.")
        return _BAD_INPUT
    if code == _INTERRUPTED:  # typer swallowed the interruption
        output.error("interrupted")
    return code if isinstance(code, int) else 0


def _describe(problem: OSError) -> str:
    names = [str(name) for name in (problem.filename, problem.filename2) if name is not None]
    return f"{' -> '.join(names)}: {problem.strerror}" if names and problem.strerror else str(problem)
