"""Evaluate a run: on its own test data, found again and split again, or on other held-out interactions."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from multimargin.data import Interactions
from multimargin.data.splits import Split
from multimargin.errors import CheckpointError, DataError
from multimargin.evaluate import Evaluation
from multimargin.evaluate import evaluate as evaluate_model
from multimargin.recipes.fit import evaluate_parts, hash_of, read_data, split_data, with_data
from multimargin.recipes.run import Run, load

_LOG = logging.getLogger("multimargin")


def evaluate_run(run: str | Path, *, data: str | Path | None = None, k: Sequence[int] | None = None) -> Evaluation:
    """Rank all items for every user with held-out items and return the metrics.

    Args:
        run: the run folder.
        data: the run's data where it lies now, recognised by its hash; or a file of other held-out interactions, whose
            unknown users and items, and pairs known to the model, are left out; None: where the run found its data.
        k: cut-offs; None: the recipe's.

    Raises:
        CheckpointError: the run is not finished or corrupt, or the data is not what it was trained on.
        DataError: the data cannot be read.
    """
    folder = Run(Path(run)).require()
    model = load(folder.path)
    recipe = with_data(folder.recipe(), data)
    cut_offs = tuple(k or recipe.values["k"])
    # parts lie in a folder: a single file given to a run on parts is other data
    other = data is not None and recipe.values["split"]["name"] == "given" and Path(data).is_file()
    found = Interactions.read(data, **recipe.values["read"]) if other and data is not None else read_data(recipe)
    if hash_of(found) == folder.info().get("data_hash"):
        return evaluate_parts(model, split_data(recipe, recipe.strategy(), found), recipe, cut_offs)
    if data is None or isinstance(found, Split):
        raise CheckpointError(
            f"data must be what the run was trained on; {recipe.values['data']} holds other interactions. "
            "Give the same data with --data PATH, or one file of held-out interactions."
        )
    return evaluate_model(model, held_out(found, model.seen), k=cut_offs, seen=model.seen, protocol="honest")


def held_out(found: Interactions, known: Interactions) -> Interactions:
    """Return the interactions of ``found`` in the vocabularies of ``known``, without unknown ids and known pairs.

    Raises:
        DataError: nothing is left.
    """
    users = known.users.find(found.users.series)[found.user_index]  # (n,)
    items = known.items.find(found.items.series)[found.indices]  # (n,)
    keep = (users >= 0) & (items >= 0)
    pairs = users * known.n_items + items
    keep &= ~np.isin(pairs, known.user_index.astype(np.int64) * known.n_items + known.indices)
    if not keep.any():
        raise DataError(
            f"held-out data must hold pairs of known users and items that are new to the model; "
            f"none of its {len(found):,} is. Was the model trained on it?"
        )
    if not keep.all():
        _LOG.info("%s of %s held-out interactions count; the others are known, or their user or item is not",
                  f"{int(keep.sum()):,}", f"{len(keep):,}")  # fmt: skip
    return Interactions.from_pairs(users[keep], items[keep], known.users, known.items)
