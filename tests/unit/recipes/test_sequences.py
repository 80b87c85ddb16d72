"""Sequences in a run: users are known by train and valid when test is measured, and by nothing later."""

import numpy as np
import pytest

import multimargin as mm
from multimargin.data.splits import LeaveLastOut
from multimargin.recipes.fit import fit_recipe
from multimargin.recipes.recipe import Recipe

SMALL = ["epochs=1", "batch_size=64", "n_negatives=4", "encoder.embedding_dim=8", "encoder.max_length=4"]


def test_users_are_known_by_what_may_be_known(timed):
    train, valid, _ = timed.split(LeaveLastOut())
    encoder = mm.SASRec(8)
    model = mm.fit(train, valid=valid, encoder=encoder, n_negatives=4, epochs=1, k=[20], progress=False)
    after = encoder.eval().user_table_after(train.union([valid])).detach().numpy()
    np.testing.assert_array_equal(model.user_table, after)
    assert not np.isclose(model.user_table, encoder.tables()[0].detach().numpy()).all()


def write(path, sequences):
    rows = [f"{user},{item},{at}" for user, row in enumerate(sequences) for at, item in enumerate(row)]
    path.write_text("\n".join(["user,item,timestamp", *rows]) + "\n")
    return path


@pytest.mark.parametrize("name", ["bce", "gbce", "mml", "ce"])
def test_recipes_run_and_a_test_item_plays_no_part(name, tmp_path):
    sequences = (np.arange(24)[:, None] + np.arange(6)) % 12
    other = sequences.copy()
    other[[0, 6], -1] = sequences[[6, 0], -1]  # the test items of two users change places
    models = []
    for each in (sequences, other):
        recipe = Recipe.load(f"ml-1m-sasrec-{name}", SMALL if name != "ce" else [s for s in SMALL if "n_neg" not in s])
        folder = tmp_path / str(len(models))
        data = write(tmp_path / f"{len(models)}.csv", each)
        models.append(fit_recipe(recipe, data=data, run=folder, progress=False))
    assert (models[0].parts.test.indices != models[1].parts.test.indices).any()
    np.testing.assert_array_equal(models[0].model.user_table, models[1].model.user_table)
    np.testing.assert_array_equal(models[0].model.item_table, models[1].model.item_table)
    assert models[0].evaluation.metrics["Recall@10"] >= 0
