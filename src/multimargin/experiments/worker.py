"""The process that does one run of a queue: ``python -m multimargin.experiments.worker ORDER``, by ``runs.py`` alone.

ORDER is JSON: run, name, recipe (YAML), threads, analyse, test. Exit codes are the command line's: 0 done, 2 bad input
in one line on stderr, 130 told to end.
"""

import _thread
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from multimargin.errors import MultiMarginError
from multimargin.experiments.runs import ANALYSIS, INTERRUPTED


def main(order: str) -> int:
    """Do what ``order`` says and return the exit code."""
    threading.Thread(target=_end_with_whoever_started_this, daemon=True).start()
    try:
        return _run(**json.loads(order))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (MultiMarginError, OSError) as problem:
        sys.stderr.write("error: " + " ".join(str(problem).split()) + "\n")
        return 2


def _run(*, run: str, name: str, recipe: str, threads: int, analyse: bool, test: bool) -> int:
    from multimargin.recipes.fit import fit_recipe
    from multimargin.recipes.recipe import Recipe, parse
    from multimargin.recipes.run import Run

    folder = Run(Path(run))
    chosen = Recipe(name, Recipe.load(parse(recipe, where=name)).values)
    if folder.exists() and (folder.path / "info.json").exists():
        finished = folder.info().get("ended") not in ("running", "interrupted")
    else:
        finished = False
        (folder.path / ".recipe.yaml.tmp").unlink(missing_ok=True)  # of a start that was killed while it wrote
    if not finished:
        fitted = fit_recipe(chosen, run=folder.path, resume=folder.exists(), threads=threads, test=test, progress=False)
        if fitted.training.stopped == "interrupted":
            return INTERRUPTED
        if analyse:
            _analyse(folder, fitted.model, fitted.parts, chosen)
    elif analyse and not (folder.path / ANALYSIS).exists():
        from multimargin.kernels.threads import set_threads
        from multimargin.recipes.fit import read_data, split_data
        from multimargin.recipes.run import load

        set_threads(threads)
        parts = split_data(chosen, chosen.strategy(), read_data(chosen))
        _analyse(folder, load(folder.path), parts, chosen)
    return 0


def _analyse(folder: Any, model: Any, parts: Any, recipe: Any) -> None:
    from multimargin.experiments.analysis import analyse
    from multimargin.recipes.run import write_json

    write_json(folder.path / ANALYSIS, analyse(model, parts, recipe))


def _end_with_whoever_started_this() -> None:
    """Interrupt the main thread, as Ctrl-C does, once the pipe that is standard input closes."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    _thread.interrupt_main()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
