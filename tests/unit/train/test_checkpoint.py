"""Checkpoints: what is written comes back, in one piece, and what is not one is refused."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from multimargin.errors import CheckpointError
from multimargin.train import checkpoint

TENSORS = {
    "encoder.table": torch.arange(6.0).reshape(2, 3),
    "optimizer.step": torch.tensor(7),
    "best.strided": torch.arange(6.0).reshape(2, 3).T,
}
STATE = {"epoch": 3, "best_value": 0.1 + 0.2, "history": [{"epoch": 1, "loss": 1e-17}], "nothing": None}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoints" / "last.safetensors"
    checkpoint.save(path, TENSORS, STATE)
    return path


def test_comes_back_to_the_last_digit(path):
    tensors, state = checkpoint.load(path)
    assert state == STATE
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


@pytest.mark.parametrize("dtype", list(checkpoint._DTYPES))
def test_tensors_of_all_types_and_many_rows_are_what_safetensors_reads(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(checkpoint, "_ROWS", 3)
    moments = torch.arange(70).reshape(7, 2, 5)
    tensors = {
        "strided": moments[:, 1].to(dtype),
        "view": moments.to(dtype)[:, 0],
        "one": torch.tensor(3).to(dtype),
        "none": torch.empty(0, 4, dtype=dtype),
        "odd": torch.ones(3, dtype=torch.uint8),
    }
    checkpoint.save(tmp_path / "x.safetensors", tensors, STATE)
    for found in (load_file(tmp_path / "x.safetensors"), checkpoint.load(tmp_path / "x.safetensors")[0]):
        assert found.keys() == tensors.keys()
        assert all(found[name].dtype == tensors[name].dtype for name in tensors)
        assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_nothing_else_is_left_in_the_folder(path):
    checkpoint.save(path, TENSORS, STATE | {"epoch": 4})
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert checkpoint.load(path)[1]["epoch"] == 4


def test_a_failed_save_leaves_the_old_one(path, monkeypatch):
    def cut_short(file, tensors, metadata):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoint, "_write", cut_short)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(path, TENSORS, STATE | {"epoch": 4})
    assert checkpoint.load(path)[1]["epoch"] == 3
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_missing_one_says_how_to_start(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint here. Start the run without resuming."):
        checkpoint.load(tmp_path / "last.safetensors")


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 100, 400, -1])
def test_one_cut_short_is_refused(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[:kept])
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        checkpoint.load(path)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"\xff" * 64, b"PK\x03\x04 a zip file, say", b"{}"])
def test_another_file_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "not a readable checkpoint"),
        ({"format": "1"}, "not a readable checkpoint"),
        ({"format": "1", "state": "{"}, "not a readable checkpoint"),
        ({"format": "0", "state": "{}"}, "checkpoint format must be 2; got 0"),
        ({"state": "{}"}, "checkpoint format must be 2; got None"),
    ],
)
def test_tensors_without_the_right_words_are_refused(path, metadata, message):
    save_file({"a": torch.zeros(2)}, path, metadata=metadata)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(path)
