"""``mm.fit``: a run folder of one's own, interrupted and resumed."""

import json

import pytest
from plain_training import random_interactions

import multimargin as mm

SMALL = {"loss": mm.MultiMarginLoss((0.1, 0.3), (0.4, 0.6)), "n_negatives": 5, "batch_size": 32, "progress": False}


def test_resumed_is_as_if_never_interrupted(tmp_path):
    train = random_interactions()
    whole = mm.fit(train, encoder=mm.MF(8), epochs=5, **SMALL)
    mm.fit(train, encoder=mm.MF(8), epochs=2, run=tmp_path, **SMALL)
    resumed = mm.fit(train, encoder=mm.MF(8), epochs=5, run=str(tmp_path), resume=True, **SMALL)
    assert (whole.user_table == resumed.user_table).all()
    assert (whole.item_table == resumed.item_table).all()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4, 5]


def test_resuming_from_nowhere_is_an_error(tmp_path):
    train = random_interactions()
    with pytest.raises(mm.ArgumentError, match="run must be a folder to resume from; got None"):
        mm.fit(train, resume=True, **SMALL)
    with pytest.raises(mm.CheckpointError, match="no checkpoint here"):
        mm.fit(train, run=tmp_path, resume=True, **SMALL)
