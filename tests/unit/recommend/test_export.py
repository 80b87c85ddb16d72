"""Files that are whole or absent, and readers that say which one is broken."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from multimargin.data.interactions import Interactions
from multimargin.data.vocabulary import Vocabulary
from multimargin.errors import ArgumentError, CheckpointError
from multimargin.recommend import export as module
from multimargin.recommend import recommender
from multimargin.recommend.recommender import Recommender


def make(seed=0, similarity="cosine", info=None):
    rng = np.random.default_rng(seed)
    seen = Interactions.from_pairs(
        rng.integers(7, size=30),
        rng.integers(11, size=30),
        Vocabulary([f"ü{n}" for n in range(7)], kind="user"),
        Vocabulary(list(range(100, 111)), kind="item"),
    )
    tables = rng.standard_normal((7, 3), dtype=np.float32), rng.standard_normal((11, 3), dtype=np.float32)
    return Recommender(*tables, similarity=similarity, seen=seen, info=info)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def full_disk(monkeypatch):
    """Let the disk be full from the n-th flush to it on."""

    def fill(after):
        flushes = iter(range(10**6))

        def fsync(_):
            if next(flushes) >= after:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", fsync)

    return fill


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_what_comes_back_is_what_went_in(tmp_path, similarity):
    model = make(similarity=similarity, info={"recipe": "gowalla-mf-mml-100", "seed": 3, "name": "é"})
    model.save(tmp_path / "deep" / "model")
    again = Recommender.load(tmp_path / "deep" / "model")
    np.testing.assert_array_equal(again.user_table, model.user_table)
    np.testing.assert_array_equal(again.item_table, model.item_table)
    assert again.users == model.users
    assert again.items == model.items
    assert again.users.kind == "user"
    assert again.similarity == similarity
    assert again.info == model.info
    assert again.seen.fingerprint == model.seen.fingerprint
    assert again.recommend(k=5).equals(model.recommend(k=5))


def test_saving_over_a_model_leaves_only_the_new_one(tmp_path):
    make(0).save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    make(1).save(tmp_path)
    assert len(names(tmp_path)) == 6
    assert (tmp_path / "notes.txt").read_text() == "mine"
    np.testing.assert_array_equal(Recommender.load(tmp_path).user_table, make(1).user_table)
    before = names(tmp_path)
    make(1).save(tmp_path)
    assert names(tmp_path) == before


@pytest.mark.parametrize("after", range(5))
def test_a_full_disk_leaves_the_old_model(tmp_path, full_disk, after):
    make(0).save(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    full_disk(after)
    with pytest.raises(OSError, match="The model cannot be written: No space left on device"):
        make(1).save(tmp_path / "model")
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


def test_a_full_disk_leaves_no_new_folder(tmp_path, full_disk):
    full_disk(2)
    with pytest.raises(OSError, match="No space left"):
        make().save(tmp_path / "model")
    assert names(tmp_path) == []


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "model").write_text("")
    with pytest.raises(FileExistsError, match="The model cannot be written: File exists"):
        make().save(tmp_path / "model")


def test_info_must_be_json(tmp_path):
    with pytest.raises(ArgumentError, match="info must be what JSON can hold"):
        make(info={"path": Path("x")}).save(tmp_path / "model")
    assert names(tmp_path) == []


@pytest.mark.parametrize("role", ["tables", "users", "items", "seen", "model"])
@pytest.mark.parametrize("harm", ["truncate", "flip", "remove"])
def test_a_broken_file_is_named(tmp_path, role, harm):
    make().save(tmp_path)
    path = next(tmp_path.glob(f"{role}*"))
    data = path.read_bytes()
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if harm == "truncate" else bytes([data[0] ^ 255]) + data[1:])
    with pytest.raises(CheckpointError, match=path.name.replace(".", r"\.")):
        Recommender.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "format version 3"),
        ({"scorer": "magic"}, "model.json is corrupt"),
        ({"format": "other"}, "is not the description of a recommender"),
        ({"files": {}}, "model.json is corrupt"),
        ({"files": {"tables": ["../tables", "0"]}}, "model.json is corrupt"),
        ({"similarity": "cosin"}, "describes no usable model"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path, change, message):
    make().save(tmp_path)
    described = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(described | change))
    with pytest.raises(CheckpointError, match=message):
        Recommender.load(tmp_path)


def test_no_model_at_all(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no model: model\.json is missing"):
        Recommender.load(tmp_path / "nowhere")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_lists_to_a_file_in_blocks(tmp_path, monkeypatch, suffix):
    model = make()
    expected = model.recommend(k=3)
    monkeypatch.setattr(recommender, "_BLOCK", 2)
    path = tmp_path / f"lists{suffix}"
    path.write_text("old")
    assert model.write_recommendations(path, k=3) == len(expected)
    read = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}[suffix](path)
    assert read["item_id"].to_list() == expected["item_id"].to_list()
    assert read["user_id"].to_list() == expected["user_id"].to_list()
    np.testing.assert_allclose(read["score"], expected["score"], rtol=1e-6)
    assert names(tmp_path) == [path.name]
    assert model.write_recommendations(path, [], k=3) == 0


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_lists_that_cannot_be_written_leave_nothing(tmp_path, suffix):
    def frames():
        yield make().recommend(k=2)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / f"lists{suffix}"
    path.write_text("old")
    with pytest.raises(OSError, match="The lists cannot be written: No space left on device"):
        module.write_frames(path, frames())
    assert path.read_text() == "old"
    assert names(tmp_path) == [path.name]
    with pytest.raises(OSError, match="cannot be written"):
        make().write_recommendations(tmp_path / "missing" / path.name, k=2)


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"path's suffix must be one of \.parquet, \.csv, \.jsonl; got '\.json'"):
        make().write_recommendations(tmp_path / "lists.json", k=2)


@pytest.mark.parametrize("ids", ["parquet", "csv"])
def test_vectors_for_an_index(tmp_path, ids):
    model = make()
    model.export(tmp_path / "vectors", ids=ids)
    items = np.load(tmp_path / "vectors" / "item_vectors.npy", allow_pickle=False)
    users = np.load(tmp_path / "vectors" / "user_vectors.npy", allow_pickle=False)
    np.testing.assert_allclose(np.linalg.norm(items, axis=1), 1, rtol=1e-6)
    read = pl.read_parquet if ids == "parquet" else pl.read_csv
    item_ids = read(tmp_path / "vectors" / f"items.{ids}")["id"].to_list()
    best = model.recommend("ü2", 1, exclude_seen=False)
    assert item_ids[int(np.argmax(items @ users[2]))] == best["item_id"][0]
    assert json.loads((tmp_path / "vectors" / "vectors.json").read_text())["index with"] == "inner product"
    with pytest.raises(ArgumentError, match="ids must be one of parquet, csv"):
        model.export(tmp_path, ids="json")
