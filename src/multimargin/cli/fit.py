"""``multimargin fit``: run a recipe into a run folder."""

from pathlib import Path
from typing import Annotated

import typer

from multimargin.cli import output
from multimargin.cli.options import DataOption, JsonOption


def fit(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe (multimargin list recipes) or a .yaml file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Values of the recipe to change: epochs=5 loss.margins=[.7,.8,.9]"
        ),
    ] = None,
    *,
    data: DataOption = None,
    run: Annotated[Path | None, typer.Option(metavar="DIR", help="The run folder [default: runs/RECIPE].")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run that is in the folder.")] = False,
    start: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A run or model to go on from; new users and items join it.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads to use [default: all]; results do not depend on it.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same as seed=N.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a recommender: a log goes in, a run folder with the model and its numbers comes out."""
    from multimargin.recipes.fit import fit_recipe
    from multimargin.recipes.recipe import Recipe

    changes = list(overrides or [])
    if seed is not None:
        changes.append(f"seed={seed}")
    try:
        fitted = fit_recipe(
            Recipe.load(recipe, changes), data=data, run=run, resume=resume, start=start, threads=threads
        )
    except KeyboardInterrupt as interruption:
        raise output.Interruption(str(interruption) or "interrupted") from None
    where = fitted.run.path
    if fitted.training.stopped == "interrupted":
        raise output.Interruption(
            f"interrupted after epoch {len(fitted.training.history)}; {where} can be used as it is, "
            "and the same command with --resume continues it"
        )
    if as_json:
        output.json_result({"run": str(where), **(fitted.evaluation.to_dict() if fitted.evaluation else {})})
        return
    if fitted.evaluation is not None:
        output.result(f"{fitted.evaluation}\n")
    epoch = f" (best epoch {fitted.training.best_epoch})" if fitted.run.recipe().is_trained else ""
    output.result(f"Run folder: {where}{epoch}")
    output.result(f"Everybody's lists: {output.command()} recommend {where} --k 10 -o recs.parquet")
