"""Evaluate a run: on its own test data, found again and split again, or on other held-out interactions."""

from collections.abc import Sequence
from pathlib import Path

from multimargin.data.readers import read_any
from multimargin.data.splits import Split
from multimargin.errors import CheckpointError
from multimargin.evaluate import Evaluation
from multimargin.evaluate import evaluate as evaluate_model
from multimargin.recipes.fit import evaluate_parts, hash_of, read_data, split_data, with_data
from multimargin.recipes.run import Run, load


def evaluate_run(run: str | Path, *, data: str | Path | None = None, k: Sequence[int] | None = None) -> Evaluation:
    """Rank all items for every user with held-out items and return the metrics.

    Args:
        run: the run folder.
        data: the run's data where it lies now, recognised by its hash; or a file of other held-out interactions, whose
            unknown users and items are left out; None: where the run found its data.
        k: cut-offs; None: the recipe's.

    Raises:
        CheckpointError: the run is not finished or corrupt, or the data is not what it was trained on.
        DataError: the data cannot be read.
    """
    folder = Run(Path(run)).require()
    model = load(folder.path)
    recipe = with_data(folder.recipe(), data)
    cut_offs = tuple(k or recipe.values["k"])
    given = recipe.values["split"]["name"] == "given"
    found = read_any(data, **recipe.values["read"]) if given and data is not None else read_data(recipe)
    if hash_of(found) == folder.info().get("data_hash"):
        return evaluate_parts(model, split_data(recipe, recipe.strategy(), found), recipe, cut_offs)
    if data is None or isinstance(found, Split):
        raise CheckpointError(
            f"data must be what the run was trained on; {recipe.values['data']} holds other interactions. "
            "Give the same data with --data PATH, or one file of held-out interactions."
        )
    return evaluate_model(
        model,
        found,
        k=cut_offs,
        protocol=recipe.values["protocol"],
        n_users=recipe.values["evaluate_users"],
        rng=recipe.data_seed,
    )
