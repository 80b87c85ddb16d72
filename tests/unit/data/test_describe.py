"""Sizes and quantiles against plain counting."""

import json

import numpy as np
import pytest

from multimargin.data import Interactions, RandomPerUser, Vocabulary, describe
from multimargin.data.describe import QUANTILES


@pytest.fixture
def log():
    return Interactions.from_pairs(
        np.array([0, 0, 0, 1, 1, 2, 0]),
        np.array([0, 1, 2, 0, 1, 0, 0]),
        Vocabulary.range(4, kind="user"),
        Vocabulary.range(5, kind="item"),
        timestamps=np.array([0, 1, 2, 3, 4, 5, 6]) * 86_400 + 1_577_836_800,
        weights=np.array([1, 2, 3, 4, 5, 3, 1.0]),
    )


def test_numbers(log):
    found = describe(log).to_dict()["log"]
    assert (found["users"], found["items"], found["interactions"], found["duplicates"]) == (4, 5, 6, 1)
    assert found["density"] == pytest.approx(6 / 20)
    assert found["per_user"]["idle"] == 1
    assert found["per_user"]["mean"] == 2.0
    assert found["per_user"]["quantiles"] == {
        "0": 1,
        "0.1": 1,
        "0.25": 1,
        "0.5": 2,
        "0.75": 3,
        "0.9": 3,
        "0.99": 3,
        "1": 3,
    }
    assert found["per_item"]["idle"] == 2
    assert found["time"]["span"] == "2020-01-01 00:00:00 to 2020-01-06 00:00:00"
    assert found["weight"] == {"least": 1.0, "mean": 3.0, "largest": 5.0}


def test_quantiles_by_their_definition(small):
    counts = sorted(count for count in small.user_counts.tolist() if count)
    quantiles = describe(small).parts[0].users.quantiles
    for share, value in quantiles:
        assert value == next(count for count in counts if sum(each <= count for each in counts) >= share * len(counts))
    assert tuple(share for share, _ in quantiles) == QUANTILES


def test_each_part_of_a_split_and_of_a_path(log, tmp_path):
    split = log.split(RandomPerUser(0, 0.5))
    assert list(describe(split).to_dict()) == ["train", "test"]
    (tmp_path / "x.csv").write_text("who;item\na;x\nb;y\n")
    description = describe(tmp_path / "x.csv", user="who")
    assert description.parts[0].n_interactions == 2
    assert description.parts[0].time_span == ""


def test_prints_and_goes_to_json(log):
    text = str(describe(log))
    assert "log: 6 interactions of 4 users and 5 items" in text
    assert "density      30.0000%" in text
    assert json.loads(json.dumps(describe(log).to_dict())) == describe(log).to_dict()


def test_an_empty_part_can_be_described(log):
    empty = log.select(np.zeros(len(log), dtype=bool))
    assert "0 interactions" in str(describe(empty))
