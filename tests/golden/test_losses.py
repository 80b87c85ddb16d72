"""The losses against numbers made by plain loops over the official formulas."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from multimargin.losses import LOSSES, Statistics

HERE = Path(__file__).parent
ROWS = json.loads((HERE / "losses.json").read_text())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["loss"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loss_gives_the_official_number(row, dtype):
    loss = LOSSES[row["loss"]](**row["arguments"])
    if "pairs" in row:  # (user, item) of the training data
        users, items = np.array(row["pairs"]).T
        statistics = Statistics(row["n_users"], row["n_items"], users, items)
        loss.prepare(statistics, rng=np.random.default_rng(0))
    extras = {name: torch.tensor(each) for name, each in row.get("extras", {}).items()}
    extras = {name: each.to(dtype) if each.is_floating_point() else each for name, each in extras.items()}
    pos, neg = (torch.tensor(row[name], dtype=dtype) for name in ("pos_scores", "neg_scores"))
    value = loss(pos, neg, **extras)
    assert value.item() == pytest.approx(row["value"], rel=2e-6, abs=1e-6)


def test_the_hand_made_row_is_the_first():
    assert ROWS[0]["value"] == pytest.approx(0.2916667, abs=5e-8)


def test_every_loss_has_a_golden_row():
    assert {row["loss"] for row in ROWS} == set(LOSSES)


def test_the_file_is_what_its_script_makes():
    spec = importlib.util.spec_from_file_location("make_losses", HERE / "make_losses.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made = script.golden()
    assert [row | {"value": None} for row in made] == [row | {"value": None} for row in ROWS]
    assert [row["value"] for row in made] == pytest.approx([row["value"] for row in ROWS], rel=1e-14)  # exp of any libm
